'use strict';
// The transcript as a list that only shows what is in sight. It keeps the raw lines; only textContent ever shows them.
{
  const ROW_PX = 20; // --line-height-transcript; measured again at the first drawing
  const SPARE_ROWS = 12; // above and below what is in sight
  const LONGEST_SHOWN = 4000; // characters of a line
  const SUMMARY_MS = 10000;
  const NEAR_ROWS = 50; // so near to the first line that is held, those before it are fetched

  // CSI, OSC / DCS / PM / APC strings with their end, and the two-character sequences.
  const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|[ -/]*[0-~])|\u009b[0-?]*[ -/]*[@-~]/g;
  const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;
  const TURNS = /[\u202a-\u202e\u2066-\u2069]/g; // would make a line read other than it is

  const picture = (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? '\u2421' : '\ufffd';
  };

  /** What a terminal would leave of a line, as plain text. */
  const plain = (raw) => {
    const whole = raw.replace(/\r+$/, '');
    const last = whole.slice(whole.lastIndexOf('\r') + 1);
    const shown = last.slice(0, LONGEST_SHOWN);
    const text = shown.replace(ESCAPES, '').replace(CONTROLS, picture).replace(TURNS, '\ufffd');
    const more = last.length - shown.length;
    return more ? `${text}… (${more.toLocaleString('en')} more characters)` : text;
  };

  const make = (tag, className, parent) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    parent.append(element);
    return element;
  };

  class Row {
    constructor(parent) {
      this.element = make('div', 'line', parent);
      this.number = make('a', 'line__number', this.element);
      this.text = make('span', 'line__text', this.element);
      this.shown = null;
    }

    show(number, text, isTail, isTarget) {
      const key = `${number} ${isTail} ${isTarget}`;
      if (this.shown === key && !isTail) return;
      this.shown = key;
      this.element.classList.toggle('line--tail', isTail);
      this.element.classList.toggle('line--target', isTarget);
      this.element.setAttribute('aria-current', String(isTarget));
      this.text.textContent = plain(text);
      if (isTail) this.unlink();
      else this.link(number);
    }

    link(number) {
      this.number.textContent = String(number);
      this.number.href = `#L${number}`;
    }

    unlink() {
      this.number.textContent = '';
      this.number.removeAttribute('href');
    }
  }

  class Transcript {
    constructor(element, { first, lines, tail }) {
      this.element = element;
      this.first = first;
      this.lines = lines;
      this.tail = tail;
      this.target = null;
      this.isFollowing = true;
      this.seen = this.count;
      this.drawing = false;
      this.loading = null;
      this.pool = [];
      this.build();
      this.listen();
      this.obeyHash();
      this.draw();
      this.summarise();
    }

    get count() {
      return this.lines.length;
    }

    get rowCount() {
      return this.count + (this.tail ? 1 : 0);
    }

    build() {
      const frame = document.createElement('div');
      frame.className = 'transcript-frame';
      this.element.replaceWith(frame);
      this.earlier = make('p', 'transcript__earlier', frame);
      this.earlier.setAttribute('role', 'status');
      frame.append(this.element);
      this.element.replaceChildren();
      this.canvas = make('div', 'transcript__rows', this.element);
      this.window = make('div', 'transcript__window', this.canvas);
      this.more = make('button', 'button transcript__more', frame);
      this.more.type = 'button';
      this.more.hidden = true;
      this.summary = make('p', 'visually-hidden', frame);
      this.summary.setAttribute('role', 'status');
      this.rowPx = this.measure();
      this.sayEarlier('are loaded when you scroll up.');
    }

    measure() {
      const row = new Row(this.window);
      row.show(1, 'x', false, false);
      const height = row.element.getBoundingClientRect().height;
      row.element.remove();
      return height || ROW_PX;
    }

    listen() {
      this.element.addEventListener('scroll', () => this.onScroll(), { passive: true });
      this.element.addEventListener('transcript:lines', ({ detail }) => this.append(detail));
      this.element.addEventListener('transcript:tail', ({ detail }) => this.replaceTail(detail.text));
      this.more.addEventListener('click', () => this.follow());
      window.addEventListener('hashchange', () => this.obeyHash());
      new ResizeObserver(() => this.drawSoon()).observe(this.element);
    }

    // -- what changes

    append({ first, lines }) {
      const next = this.first + this.count;
      for (let index = Math.max(0, next - first); index < lines.length; index += 1) this.lines.push(lines[index]);
      this.tail = '';
      this.changed();
    }

    replaceTail(text) {
      this.tail = text;
      this.drawSoon();
    }

    changed() {
      this.drawSoon();
      if (this.summaryTimer) return;
      this.summaryTimer = setTimeout(() => {
        this.summaryTimer = null;
        this.summarise();
      }, SUMMARY_MS);
    }

    summarise() {
      if (!this.count) return;
      const last = plain(this.lines[this.count - 1]).slice(0, 200);
      const number = this.first + this.count - 1;
      this.summary.textContent = `${number} ${number === 1 ? 'line' : 'lines'}. Last: ${last}`;
    }

    // -- lines before the first that is held

    sayEarlier(words) {
      const last = this.first - 1;
      this.earlier.hidden = last < 1;
      const which = last === 1 ? 'Line 1' : `Lines 1-${last.toLocaleString('en')}`;
      this.earlier.textContent = last < 1 ? '' : `${which} ${words}`;
    }

    async loadUpTo(target) {
      while (this.target === target && target < this.first) if (!await this.loadEarlier()) return;
      if (this.target === target) this.obeyHash();
    }

    /** One request at a time; whoever asks meanwhile waits for the same. Resolves to whether lines came. */
    loadEarlier() {
      if (this.first <= 1 || !this.element.dataset.lines) return Promise.resolve(false);
      this.loading ||= this.fetchEarlier().finally(() => { this.loading = null; });
      return this.loading;
    }

    async fetchEarlier() {
      this.sayEarlier('are being loaded.');
      const url = new URL(this.element.dataset.lines, document.baseURI);
      url.searchParams.set('before', String(this.first));
      try {
        const response = await fetch(url, { redirect: 'manual', headers: { Accept: 'application/json' } });
        const came = response.ok ? this.prepend(await response.json()) : false;
        this.sayEarlier(came ? 'are loaded when you scroll up.' : 'could not be loaded: reload the page.');
        return came;
      } catch (error) {
        this.sayEarlier('could not be loaded: scroll up to try again.');
        if (!(error instanceof TypeError)) throw error;
        return false;
      }
    }

    /** What the reader sees stays where it is; false when these do not end right before what is held. */
    prepend({ first, lines }) {
      if (!lines.length || first + lines.length !== this.first) return false;
      this.lines = lines.concat(this.lines);
      this.first = first;
      this.seen += lines.length;
      this.resize();
      this.element.scrollTop += lines.length * this.rowPx;
      this.drawSoon();
      return true;
    }

    // -- where the reader is

    onScroll() {
      const { scrollTop, clientHeight, scrollHeight } = this.element;
      this.isFollowing = scrollHeight - scrollTop - clientHeight < this.rowPx;
      if (!this.isFollowing && scrollTop < NEAR_ROWS * this.rowPx) this.loadEarlier();
      this.drawSoon();
    }

    follow() {
      this.isFollowing = true;
      this.element.focus({ preventScroll: true });
      this.drawSoon();
    }

    obeyHash() {
      const match = /^#L(\d+)$/.exec(window.location.hash);
      this.target = match ? Number(match[1]) : null;
      if (this.target === null) return this.redraw();
      this.isFollowing = false;
      if (this.target < this.first) this.loadUpTo(this.target);
      this.resize();
      const middle = (this.target - this.first) * this.rowPx - this.element.clientHeight / 2;
      this.element.scrollTop = Math.max(0, middle);
      this.element.scrollIntoView({ block: 'nearest' });
      return this.redraw();
    }

    redraw() {
      for (const row of this.pool) row.shown = null;
      this.drawSoon();
    }

    // -- drawing

    drawSoon() {
      if (this.drawing) return;
      this.drawing = true;
      requestAnimationFrame(() => {
        this.drawing = false;
        this.draw();
      });
    }

    resize() {
      this.canvas.style.height = `${this.rowCount * this.rowPx}px`;
    }

    draw() {
      this.resize();
      if (this.isFollowing) this.element.scrollTop = this.element.scrollHeight;
      const { scrollTop, clientHeight } = this.element;
      const from = Math.max(0, Math.floor(scrollTop / this.rowPx) - SPARE_ROWS);
      const to = Math.min(this.rowCount, Math.ceil((scrollTop + clientHeight) / this.rowPx) + SPARE_ROWS);
      this.window.style.transform = `translateY(${from * this.rowPx}px)`;
      this.fill(from, to);
      this.offer();
    }

    fill(from, to) {
      const needed = Math.max(0, to - from);
      while (this.pool.length < needed) this.pool.push(new Row(this.window));
      while (this.pool.length > needed) this.pool.pop().element.remove();
      for (let index = from; index < to; index += 1) this.fillRow(this.pool[index - from], index);
    }

    fillRow(row, index) {
      const isTail = index === this.count;
      const number = this.first + index;
      row.show(number, isTail ? this.tail : this.lines[index], isTail, number === this.target);
    }

    /** "n new lines", counted from when the reader left the end. */
    offer() {
      if (this.isFollowing) this.seen = this.count;
      const unseen = this.count - this.seen;
      this.more.hidden = unseen === 0;
      if (unseen) this.more.textContent = `${unseen.toLocaleString('en')} new ${unseen === 1 ? 'line' : 'lines'}`;
    }
  }

  const element = document.getElementById('transcript');
  const data = document.getElementById('transcript_lines');
  if (element) {
    const start = data ? JSON.parse(data.textContent) : { first: 1, lines: [], tail: '' };
    window.opsdash = window.opsdash || {};
    window.opsdash.transcript = new Transcript(element, start);
  }
}
