'use strict';
// The groups of the transcript: one for each step in the steps' fragment that says which lines are its own.
window.opsdash = window.opsdash || {};
{
  const numberOf = (value) => (/^[1-9]\d{0,14}$/.test(value || '') ? Number(value) : null);
  const textOf = (element) => (element ? element.textContent.replace(/\s+/g, ' ').trim() : '');

  class Groups {
    constructor() {
      this.closed = new Set(); // first lines: they stay the same through every swap
      this.read();
    }

    read() {
      const steps = [...document.querySelectorAll('#job_steps .step[data-first-line]')];
      this.all = steps.map((step) => this.groupOf(step)).filter((group) => group.first !== null)
        .sort((one, other) => one.first - other.first);
      this.firstError = numberOf(document.getElementById('job_steps')?.dataset.firstError);
    }

    groupOf(step) {
      const first = numberOf(step.dataset.firstLine);
      const time = step.querySelector('.step__time');
      return {
        first,
        last: numberOf(step.dataset.lastLine),
        isOpen: !this.closed.has(first),
        name: textOf(step.querySelector('.step__name')),
        state: /\bstep--(?!again\b)([a-z]+)/.exec(step.className)?.[1] || '',
        word: textOf(step.querySelector('.status')),
        duration: textOf(time),
        since: time?.dataset.elapsedSince || '',
      };
    }

    get isAnyOpen() {
      return this.all.some((group) => group.isOpen);
    }

    set(group, isOpen) {
      if (isOpen) this.closed.delete(group.first);
      else this.closed.add(group.first);
      group.isOpen = isOpen;
    }

    /** The group that a line is in, or undefined. */
    of(number) {
      return this.all.findLast((group) => group.first <= number && (group.last === null || number <= group.last));
    }
  }

  window.opsdash.Groups = Groups;
}
