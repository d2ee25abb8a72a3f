'use strict';
// Links to lines: #L120, or #L120-L134. Whatever else stands there leads nowhere.
window.opsdash = window.opsdash || {};
{
  const FORM = /^#L(\d{1,15})(?:-L?(\d{1,15}))?$/;

  /** [first, last], or null. */
  const read = (hash) => {
    const match = FORM.exec(hash);
    if (!match) return null;
    const ends = [Number(match[1]), Number(match[2] ?? match[1])];
    return ends.sort((one, other) => one - other);
  };

  const write = ([first, last]) => (first === last ? `#L${first}` : `#L${first}-L${last}`);

  /** The lines that the address names. */
  class Target {
    constructor(transcript) {
      this.transcript = transcript;
      this.range = null;
      window.addEventListener('hashchange', () => this.obeyAddress());
      transcript.element.addEventListener('click', (event) => this.onClick(event));
      document.addEventListener('click', (event) => this.onLink(event));
    }

    has(number) {
      return this.range !== null && this.range[0] <= number && number <= this.range[1];
    }

    obeyAddress() {
      this.range = read(window.location.hash);
      this.say();
      if (this.range && this.transcript.store.isKept(this.range[0])) this.transcript.goTo(this.range[0]);
      this.transcript.drawSoon();
    }

    /** The address says what is highlighted; nothing is loaded, and Back leads to the page before. */
    set(range) {
      this.range = range;
      window.history.replaceState(window.history.state, '', write(range));
      this.say();
      this.transcript.drawSoon();
    }

    lead(number) {
      this.set([number, number]);
      this.obeyAddress();
    }

    /** A number makes a link, another one with Shift a range; the browser's own ways to open a link stay. */
    onClick(event) {
      const link = event.target.closest('.line__number[href]');
      if (!link || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      const number = Number(link.textContent);
      const from = event.shiftKey && this.range?.[0] > 0 ? this.range[0] : number;
      this.transcript.stay();
      this.set([Math.min(from, number), Math.max(from, number)]);
    }

    /** A link to where the address leads already changes no address, and still leads there. */
    onLink(event) {
      const link = event.target.closest('a[href^="#L"]');
      if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
      if (link.hash === window.location.hash) this.obeyAddress();
    }

    say() {
      this.transcript.words.notify('target', this.range ? this.whyNotThere(this.range[0]) : '');
    }

    whyNotThere(number) {
      const { store, last, isRunning } = this.transcript;
      if (store.isKept(number)) return '';
      const line = `Line ${number.toLocaleString('en')}`;
      if (number > last && isRunning) return `${line} is not there yet.`;
      return number >= 1 && number <= last ? `${line} is not kept.` : `${line} is not there.`;
    }
  }

  window.opsdash.Target = Target;
}
