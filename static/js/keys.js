'use strict';
// Keys inside of the list. For Tab it is one stop, however many rows it has: Enter leads into the rows in sight, there
// the arrow keys go from one to the next, and Escape leads back.
window.opsdash = window.opsdash || {};
{
  const ACTS = '.line__number[href], .group__toggle';
  const HINT = 'Enter leads to the line numbers and steps in sight, arrow keys from one to the next, Escape back.';

  class Keys {
    constructor(transcript) {
      this.transcript = transcript;
      this.list = transcript.element;
      this.list.addEventListener('keydown', (event) => this.onKey(event));
      this.describe();
    }

    describe() {
      const hint = window.opsdash.make('p', '', this.transcript.frame);
      hint.id = 'transcript_keys';
      hint.hidden = true;
      hint.textContent = HINT;
      this.list.setAttribute('aria-describedby', hint.id);
    }

    onKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const isOutside = event.target === this.list;
      // A browser that is busy may drop its own: its scroll for the key before has not ended by then.
      if (event.key === 'Home') this.transcript.toStart();
      else if (event.key === 'End') this.transcript.follow();
      else if (isOutside && event.key === 'Enter') this.enter();
      else if (isOutside) return;
      else if (event.key === 'ArrowDown') this.step(event.target, 1);
      else if (event.key === 'ArrowUp') this.step(event.target, -1);
      else if (event.key === 'Escape') this.list.focus({ preventScroll: true });
      else return;
      event.preventDefault();
    }

    /** To what is highlighted, where it is in sight, else to the first row. */
    enter() {
      const seen = this.acts().filter((act) => this.isInSight(act));
      const act = seen.find((each) => each.closest('.line--found, .line--target')) || seen[0];
      if (act) this.lead(act);
    }

    step(from, by) {
      const acts = this.acts();
      const act = acts[acts.indexOf(from) + by];
      if (act) this.lead(act);
    }

    /** What has the focus stays in sight, whatever comes. */
    lead(act) {
      this.transcript.stay();
      act.focus({ preventScroll: true });
      act.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    }

    acts() {
      return [...this.list.querySelectorAll(ACTS)];
    }

    isInSight(act) {
      const box = this.list.getBoundingClientRect();
      const { top, bottom } = act.getBoundingClientRect();
      return top >= box.top && bottom <= box.bottom;
    }
  }

  window.opsdash.Keys = Keys;
}
