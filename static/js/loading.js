'use strict';
// Fetches the lines that are in sight and not in memory: one request at a time, for what is wanted now.
window.opsdash = window.opsdash || {};
{
  const { LostLine, lost } = window.opsdash;
  const MOST_ASKED = 1000; // lines of one request
  const AROUND = 200; // lines on both sides that come along
  const PAUSE_MS = 120; // between two requests while somebody scrolls
  const FIRST_RETRY_MS = 3000;
  const LONGEST_RETRY_MS = 60_000;

  class Loader {
    /** `came()` is called when lines or a gap came, `say(words)` with what a person should know ("": nothing). */
    constructor(url, store, { came, say }) {
      this.url = url;
      this.store = store;
      this.came = came;
      this.say = say;
      this.wanted = []; // numbers of lines, ascending
      this.failures = 0;
      this.timer = null;
      this.open = null;
      this.startedAt = -Infinity;
      this.silentUntil = 0;
      this.isOver = false; // signed out, or gone: nothing is asked any more, and what was said stays
    }

    /** These lines are in sight. Called with every drawing. */
    want(numbers) {
      if (this.isOver) return undefined;
      const isOther = numbers[0] !== this.wanted[0] || numbers.at(-1) !== this.wanted.at(-1);
      this.wanted = numbers;
      if (isOther && this.failures) this.scrolled();
      const missing = this.missing();
      if (missing === undefined) return this.settle();
      if (this.open && !numbers.some((number) => this.isAskedFor(number))) this.abandon();
      return this.soon();
    }

    missing() {
      return this.wanted.find((number) => this.store.isMissing(number));
    }

    isAskedFor(number) {
      return this.open.first <= number && number <= this.open.last;
    }

    /** Somebody who scrolls after a failure need not wait for as long. */
    scrolled() {
      const soonest = performance.now() + 1000;
      if (this.silentUntil <= soonest) return;
      this.silentUntil = soonest;
      clearTimeout(this.timer);
      this.timer = null;
    }

    settle() {
      if (this.failures) this.say('');
      this.failures = 0;
      this.silentUntil = 0;
      clearTimeout(this.timer);
      this.timer = null;
    }

    abandon() {
      const { controller } = this.open;
      this.open = null;
      controller.abort();
    }

    soon() {
      if (this.open || this.timer !== null || !this.url) return;
      const now = performance.now();
      const wait = Math.max(this.startedAt + PAUSE_MS, this.silentUntil) - now;
      this.timer = setTimeout(() => {
        this.timer = null;
        this.start();
      }, Math.max(0, wait));
    }

    start() {
      const missing = this.missing();
      if (missing === undefined || this.open) return;
      const [first, last] = this.around(missing);
      this.startedAt = performance.now();
      this.open = { first, last, controller: new AbortController() };
      this.fetch(this.open);
    }

    /** What is asked for to have this line: with others in sight and some around, without what is there at the ends. */
    around(missing) {
      let first = Math.max(1, missing - AROUND);
      while (!this.store.isMissing(first)) first += 1;
      const others = this.wanted.filter((number) => number < missing + MOST_ASKED - 2 * AROUND);
      let last = Math.min(this.store.last, others.at(-1) + AROUND);
      while (!this.store.isMissing(last)) last -= 1;
      return [first, last];
    }

    async fetch(request) {
      const url = new URL(this.url, document.baseURI);
      url.searchParams.set('from', String(request.first));
      url.searchParams.set('to', String(request.last));
      const { signal } = request.controller;
      try {
        const options = { signal, redirect: 'manual', headers: { Accept: 'application/json' } };
        const response = await fetch(url, options).catch(lost);
        const answer = response.ok ? JSON.parse(await response.text().catch(lost)) : null;
        if (this.open === request) this.take(request, answer, response);
      } catch (error) {
        if (this.open === request) this.failed(request, 'trying again soon');
        if (!(error instanceof LostLine || error instanceof SyntaxError)) throw error;
      }
    }

    take(request, answer, response) {
      this.isOver = isFinal(response);
      if (!answer) return this.failed(request, this.isOver ? 'reload the page' : 'trying again soon');
      const before = this.store.gap;
      this.store.setGap(answer.gap);
      let added = 0;
      for (const chunk of answer.chunks) added += this.store.add(chunk);
      // An answer that brings nothing on would be asked for again and again.
      if (!added && this.store.gap === before) return this.failed(request, 'trying again soon');
      this.open = null;
      if (this.failures) this.say('');
      this.failures = 0;
      this.silentUntil = 0;
      return this.came();
    }

    failed({ first, last }, what) {
      this.open = null;
      this.failures += 1;
      const wait = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.failures - 1));
      this.silentUntil = performance.now() + wait;
      const which = first === last ? `Line ${first}` : `Lines ${number(first)}–${number(last)}`;
      this.say(`${which} could not be loaded: ${what}.`);
      if (!this.isOver) this.soon();
    }
  }

  const number = (value) => value.toLocaleString('en');

  /** Signed out, or gone: the same question gets the same answer. */
  function isFinal(response) {
    return response.type === 'opaqueredirect' || [401, 403, 404].includes(response.status);
  }

  window.opsdash.Loader = Loader;
}
