'use strict';
// An htmx extension: <div hx-ext="live" live-url="…" data-after="N"> owns one stream while it is on the page and seen.
{
  const { LostLine, lost } = window.opsdash;
  const FIRST_WAIT_S = 0.5;
  const LONGEST_WAIT_S = 10;
  const SILENCE_S = 40; // the server gives a sign of life every 10 s
  const ANSWER_S = 5; // so long a page that asks every few seconds waits before it says that nobody answers
  const HIDDEN_S = 30; // a tab that is not seen asks so often how the job stands, for its title and icon
  const GLANCE_S = 10; // and holds no answer open for longer
  const STEADY_S = 5; // what each connect brings anyway is no sign that it will last
  const STAYS_S = 3; // a connection that is open for so long is no longer one of every few seconds
  const TOKEN = /name="csrfmiddlewaretoken" value="\w*"/g; // each answer has another one for the same form
  const FINAL = ['ended', 'signed-out', 'gone'];
  const now = () => performance.now() / 1000;

  class Stream {
    constructor(element) {
      this.element = element;
      this.url = element.getAttribute('live-url');
      this.last = Number.parseInt(element.dataset.after, 10) || 0;
      this.silenceS = Number.parseFloat(element.getAttribute('live-silence')) || SILENCE_S;
      this.hiddenS = Number.parseFloat(element.getAttribute('live-hidden')) || HIDDEN_S;
      this.view = new window.opsdash.StateView();
      this.shown = new Map();
      this.failures = 0;
      this.state = null;
      this.controller = null;
      this.due = null;
      this.everyS = null; // not null: the server ends each answer, and is asked again after so long
      this.timer = null;
      this.watch = setInterval(() => this.tick(), Math.min(1000, this.silenceS * 100));
      this.onVisibility = () => this.wake();
      this.onOffline = () => this.lostLine();
      this.onOnline = () => this.isWaiting() && this.connect();
      this.onPageHide = () => this.pause();
      document.addEventListener('visibilitychange', this.onVisibility);
      window.addEventListener('offline', this.onOffline);
      window.addEventListener('online', this.onOnline);
      window.addEventListener('pagehide', this.onPageHide);
      window.addEventListener('pageshow', this.onVisibility);
      this.wake();
    }

    // -- when to be connected

    wake() {
      if (this.isFinal()) return;
      if (document.visibilityState === 'hidden') this.pause();
      else if (this.state === null || this.state === 'paused') {
        this.failures = 0;
        this.state = null;
        this.connect();
      }
    }

    /** No stream; now and then a short question. Whatever comes of it, this is where it ends. */
    pause() {
      if (this.isFinal()) return;
      this.drop();
      this.everyS = null;
      this.timer = setTimeout(() => this.connect(), 1000 * this.hiddenS);
      this.say('paused');
    }

    lostLine() {
      if (!this.isFinal()) this.later();
    }

    tick() {
      if (!this.element.isConnected) this.close();
      else if (this.isWaiting()) this.countDown();
      else if (this.controller) this.listen();
    }

    listen() {
      if (this.isPaused()) return this.listenBriefly();
      if (this.everyS !== null && now() - this.openedAt > STAYS_S) this.stay();
      if (this.everyS !== null && now() - this.heardAt > ANSWER_S) this.doubt();
      return this.listenForSilence();
    }

    listenBriefly() {
      if (now() - this.askedAt > Math.min(GLANCE_S, this.silenceS)) this.pause();
    }

    /** Nobody answers: what the page shows is not current to these seconds any more. */
    doubt() {
      this.everyS = null;
      this.say('reconnecting');
    }

    /** The server keeps this connection again. */
    stay() {
      this.everyS = null;
      this.say('live');
    }

    countDown() {
      const left = this.due - now();
      if (left <= 0) this.connect();
      else if (this.everyS === null) this.say('reconnecting', Math.ceil(left));
    }

    listenForSilence() {
      const silent = now() - this.heardAt;
      if (silent > this.silenceS) this.later();
      else if (silent > this.silenceS / 2 && (this.state === 'live' || this.state === 'silent')) {
        this.say('silent', Math.floor(silent));
      }
    }

    isWaiting() {
      return this.due !== null;
    }

    isPaused() {
      return this.state === 'paused';
    }

    isFinal() {
      return FINAL.includes(this.state);
    }

    say(state, seconds) {
      this.state = state;
      this.view.show(state, seconds);
    }

    /** Let go of the open request, if any; nothing that it still brings is taken. */
    drop() {
      this.due = null;
      clearTimeout(this.timer);
      const open = this.controller;
      this.controller = null;
      if (open) open.abort();
    }

    later(seconds) {
      if (this.isPaused()) return this.pause();
      this.drop();
      this.everyS = null;
      const longest = Math.min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** this.failures);
      this.failures += 1;
      const wait = seconds === undefined ? longest * (0.5 + Math.random() / 2) : seconds;
      this.due = now() + wait;
      return this.say('reconnecting', Math.ceil(wait));
    }

    /** It is no failure, and what the page shows is current to these seconds. */
    againEvery(seconds) {
      if (this.isPaused()) return this.pause();
      this.drop();
      this.everyS = seconds;
      this.failures = 0;
      this.due = now() + seconds;
      this.timer = setTimeout(() => this.connect(), 1000 * seconds);
      return this.say('every', seconds);
    }

    finish(state) {
      this.drop();
      this.say(state);
      this.stopWatching();
    }

    close() {
      this.drop();
      this.stopWatching();
      streams.delete(this.element);
    }

    stopWatching() {
      clearInterval(this.watch);
      document.removeEventListener('visibilitychange', this.onVisibility);
      window.removeEventListener('offline', this.onOffline);
      window.removeEventListener('online', this.onOnline);
      window.removeEventListener('pagehide', this.onPageHide);
      window.removeEventListener('pageshow', this.onVisibility);
    }

    // -- one connection

    async connect() {
      this.drop();
      const controller = new AbortController();
      this.controller = controller;
      this.askedAt = now();
      this.heardAt = now();
      this.openedAt = Infinity;
      this.hadTail = false;
      const isQuiet = this.everyS !== null || this.isPaused();
      if (!isQuiet) this.say(this.state === 'reconnecting' ? 'reconnecting' : 'connecting');
      try {
        const response = await this.ask(controller.signal);
        if (this.controller !== controller) return;
        const verdict = this.judge(response);
        if (verdict) return this.obey(verdict);
        this.openedAt = now();
        if (this.everyS === null && !this.isPaused()) this.opened();
        await this.read(response, controller);
        if (this.controller === controller) this.later();
      } catch (error) {
        // Whatever broke the line, the answer is the same; an aborted one is not ours any more.
        if (this.controller === controller) this.later();
        if (!(error instanceof LostLine)) throw error;
      }
    }

    opened() {
      this.tell('transcript:tail', { text: '' });
      this.say('live');
    }

    ask(signal) {
      const url = new URL(this.url, document.baseURI);
      url.searchParams.set('after', String(this.last));
      if (this.isPaused()) url.searchParams.set('once', '1');
      return fetch(url, {
        signal,
        cache: 'no-store',
        credentials: 'same-origin',
        redirect: 'manual',
        headers: { Accept: 'text/event-stream' },
      }).catch(lost);
    }

    /** null: read it; a final state; or 'again'. */
    judge(response) {
      if (response.type === 'opaqueredirect') return 'signed-out';
      if (response.status === 204) return 'ended';
      if (response.status === 401 || response.status === 403) return 'signed-out';
      if (response.status === 404) return 'gone';
      if (response.status !== 200) return 'again';
      const type = response.headers.get('content-type') || '';
      return type.startsWith('text/event-stream') ? null : 'signed-out';
    }

    obey(verdict) {
      if (verdict === 'again') this.later();
      else this.finish(verdict);
    }

    read(response, controller) {
      const reader = new window.opsdash.BodyReader({
        isOurs: () => this.controller === controller,
        onSign: () => this.heard(),
        onEvent: (event) => this.take(event),
      });
      return reader.read(response.body);
    }

    heard() {
      this.heardAt = now();
      if (this.state === 'silent') this.say('live');
    }

    // -- what it brings

    /** A mistake in one of them is told, and is no reason to leave the line: the next ones may be in order. */
    take(event) {
      try {
        this.obeyEvent(event);
      } catch (error) {
        window.reportError(error);
      }
    }

    obeyEvent({ event, data }) {
      const handler = Object.hasOwn(this.takers, event) ? this.takers[event] : null;
      if (!handler) return;
      if (now() - this.openedAt > STEADY_S) this.failures = 0;
      handler.call(this, JSON.parse(data));
    }

    get takers() {
      return {
        fragments: this.takeFragments,
        lines: this.takeLines,
        tail: this.takeTail,
        end: this.takeEnd,
        bye: this.takeBye,
      };
    }

    takeFragments({ html }) {
      for (const [id, content] of Object.entries(html)) {
        const seen = content.replace(TOKEN, '');
        if (this.shown.get(id) === seen) continue;
        swap(id, content);
        this.shown.set(id, seen);
      }
    }

    takeLines({ first, at, lines, gap = null }) {
      const next = this.last + 1;
      if (first > next && !covers(gap, next, first - 1)) {
        this.later();
        return;
      }
      const from = Math.max(next, first);
      const fresh = lines.slice(from - first);
      if (!fresh.length) return;
      this.failures = 0;
      this.last = from + fresh.length - 1;
      this.tell('transcript:lines', { first: from, at, lines: fresh, gap });
    }

    takeTail({ text }) {
      this.hadTail = true;
      this.tell('transcript:tail', { text });
    }

    takeEnd() {
      this.finish('ended');
    }

    takeBye({ again_s: seconds }) {
      if (typeof seconds === 'number' && seconds > 0) {
        if (!this.hadTail) this.tell('transcript:tail', { text: '' });
        this.againEvery(seconds);
      } else this.later(0.5 + Math.random() * 1.5);
    }

    tell(name, detail) {
      const transcript = document.getElementById('transcript');
      if (transcript) transcript.dispatchEvent(new CustomEvent(name, { detail }));
    }
  }

  /** Lines that are not kept are not missing. */
  function covers(gap, first, last) {
    return gap !== null && gap[0] <= first && last <= gap[1];
  }

  function swap(id, content) {
    const target = document.getElementById(id);
    if (!target) return;
    window.htmx.swap(target, content, { swapStyle: 'outerHTML', swapDelay: 0, settleDelay: 0 });
  }

  const streams = new WeakMap();

  function open(element) {
    const url = element.getAttribute('live-url');
    const known = streams.get(element);
    if (known && known.url === url) return;
    known?.close();
    streams.set(element, new Stream(element));
  }

  window.htmx.defineExtension('live', {
    getSelectors: () => ['[live-url]'],
    onEvent(name, event) {
      const element = event.target;
      if (name === 'htmx:afterProcessNode' && element.hasAttribute?.('live-url')) open(element);
      if (name === 'htmx:beforeCleanupElement') streams.get(element)?.close();
      return true;
    },
  });
}
