'use strict';
// The search over the transcript: the server finds the lines, the newest question wins, the list goes to them.
window.opsdash = window.opsdash || {};
{
  const TYPING_MS = 250;
  const AGAIN_MS = 2000; // between two looks at what a running job printed meanwhile
  const TRIES = 3;
  const LONGEST_QUERY = 200;
  const NOT_SEARCHED = 'could not be searched';

  class Refused extends Error {}

  /** What is known of one query: the lines where it is, by and by more of them. */
  class Hits {
    constructor(query, matchesCase) {
      this.query = query;
      this.matchesCase = matchesCase;
      this.lines = [];
      this.count = 0;
      this.hasMore = false;
      this.until = 0;
      this.index = -1; // where one stands
    }

    /** Those behind the last one that is known, or behind what was searched. `more`: not all of them came. */
    take({ lines, count, more, until }) {
      this.count = this.lines.length + count;
      for (const number of lines) this.lines.push(number);
      this.hasMore = more;
      this.until = Math.max(this.until, until);
    }

    /** What was printed since. Where not all lines before are known, it is only counted. */
    takeNews(answer) {
      if (!this.hasMore) return this.take(answer);
      this.count += answer.count;
      this.until = Math.max(this.until, answer.until);
      return undefined;
    }

    get line() {
      return this.lines[this.index] ?? null;
    }

    get pattern() {
      const escaped = this.query.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
      return new RegExp(escaped, this.matchesCase ? 'gu' : 'giu');
    }
  }

  class Search {
    constructor(transcript, { field, matchCase, said, previous, next }) {
      Object.assign(this, { transcript, field, matchCase, said, previous, next });
      this.url = transcript.element.dataset.search;
      this.hits = null;
      this.asking = null; // AbortController
      this.typing = null;
      this.again = null;
      this.askedAt = -Infinity;
      this.listen();
    }

    listen() {
      this.field.maxLength = LONGEST_QUERY;
      this.field.addEventListener('input', () => this.typed());
      this.field.addEventListener('keydown', (event) => this.onKey(event));
      this.matchCase.addEventListener('click', () => this.switchCase());
      this.next.addEventListener('click', () => this.go(1));
      this.previous.addEventListener('click', () => this.go(-1));
      document.addEventListener('keydown', (event) => this.onPageKey(event));
      this.transcript.element.addEventListener('transcript:changed', () => this.lookAgain());
    }

    onKey(event) {
      if (event.key === 'Enter' && !event.isComposing) {
        event.preventDefault();
        this.enter(event.shiftKey ? -1 : 1);
      } else if (event.key === 'Escape') {
        event.preventDefault();
        this.field.value = '';
        this.search();
        this.transcript.element.focus({ preventScroll: true });
      }
    }

    onPageKey(event) {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.closest?.('input, textarea, select, [contenteditable]')) return;
      event.preventDefault();
      this.field.focus();
      this.field.select();
    }

    /** Enter does not wait for the end of typing. */
    enter(step) {
      if (this.typing !== null || this.hits?.query !== this.field.value) this.search();
      else this.go(step);
    }

    typed() {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.search(), TYPING_MS);
    }

    switchCase() {
      const isOn = this.matchCase.getAttribute('aria-pressed') === 'true';
      this.matchCase.setAttribute('aria-pressed', String(!isOn));
      this.search();
    }

    // -- asking

    async search() {
      clearTimeout(this.typing);
      this.typing = null;
      this.stop();
      const query = this.field.value;
      if (!query) return this.clear();
      const hits = new Hits(query, this.matchCase.getAttribute('aria-pressed') === 'true');
      this.hits = hits;
      this.transcript.mark(hits.pattern, null);
      this.say('…');
      if (!await this.ask(hits, 0)) return undefined;
      if (hits.count) this.stand(this.firstBelow(hits));
      return this.tell();
    }

    clear() {
      this.hits = null;
      this.transcript.mark(null, null);
      this.say('');
    }

    stop() {
      this.asking?.abort();
      this.asking = null;
      clearTimeout(this.again);
      this.again = null;
    }

    /** Whether an answer came and is still wanted. */
    async ask(hits, after, isNews = false) {
      const asking = new AbortController();
      this.asking = asking;
      this.askedAt = performance.now();
      try {
        const answer = await this.fetch(hits, after, asking.signal);
        if (this.asking !== asking) return false;
        if (isNews) hits.takeNews(answer);
        else hits.take(answer);
        return true;
      } catch (error) {
        if (this.asking === asking) this.say(error instanceof Refused ? error.message : NOT_SEARCHED);
        if (isOurMistake(error)) throw error;
        return false;
      } finally {
        if (this.asking === asking) this.asking = null;
      }
    }

    async fetch({ query, matchesCase }, after, signal) {
      const url = new URL(this.url, document.baseURI);
      url.searchParams.set('q', query);
      url.searchParams.set('after', String(after));
      if (matchesCase) url.searchParams.set('case', '1');
      const options = { signal, redirect: 'manual', headers: { Accept: 'application/json' } };
      let response = await fetch(url, options).catch(unreachable);
      // Answers to what was typed before may still be made.
      for (let tries = 0; response.status === 429 && tries < TRIES; tries += 1) {
        await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS); });
        response = await fetch(url, options).catch(unreachable);
      }
      if ([400, 429, 503].includes(response.status) && response.headers.get('Content-Type')?.startsWith('text/plain')) throw new Refused((await response.text()).slice(0, 200));
      if (!response.ok) throw new Refused(NOT_SEARCHED);
      return response.json();
    }

    /** What a running job printed meanwhile, now and then. */
    lookAgain() {
      if (!this.hits || this.again !== null) return;
      const wait = Math.max(0, this.askedAt + AGAIN_MS - performance.now());
      this.again = setTimeout(async () => {
        this.again = null;
        if (this.asking) return this.lookAgain();
        if (!this.hits || this.hits.until >= this.transcript.last) return undefined;
        return await this.ask(this.hits, this.hits.until, true) && this.tell();
      }, wait);
    }

    // -- going

    firstBelow({ lines }) {
      const top = this.transcript.firstInSight;
      const index = lines.findIndex((number) => number >= top);
      return Math.max(0, index);
    }

    /** Round at the ends; while not all are known, forwards only as far as they come. */
    async go(step) {
      const { hits } = this;
      if (!hits || !hits.count || this.asking) return;
      let index = hits.index + step;
      if (index >= hits.lines.length && hits.hasMore) {
        this.say('…');
        if (!await this.ask(hits, hits.lines.at(-1))) return;
      }
      if (index < 0) index = hits.hasMore ? 0 : hits.lines.length - 1;
      this.stand(index % hits.lines.length);
      this.tell();
    }

    stand(index) {
      const { hits, transcript } = this;
      hits.index = index;
      transcript.mark(hits.pattern, hits.line);
      if (!transcript.isInSight(hits.line)) transcript.goTo(hits.line);
      else transcript.isFollowing = transcript.isFollowing && transcript.last === hits.line;
    }

    tell() {
      const { hits } = this;
      if (!hits) return;
      if (hits.count && hits.index < 0) hits.index = 0;
      const number = (value) => value.toLocaleString('en');
      this.say(hits.count ? `${number(hits.index + 1)} of ${number(hits.count)}` : 'none');
    }

    say(words) {
      if (this.said.textContent !== words) this.said.textContent = words;
      const isOn = Boolean(this.hits?.count);
      for (const button of [this.previous, this.next]) button.setAttribute('aria-disabled', String(!isOn));
    }
  }

  function unreachable(error) {
    if (error.name === 'AbortError') throw error;
    throw new Refused(NOT_SEARCHED);
  }

  /** An answer that is no JSON and a question that was given up are none. */
  function isOurMistake(error) {
    return !(error instanceof Refused || error instanceof SyntaxError || error.name === 'AbortError');
  }

  window.opsdash.Search = Search;
}
