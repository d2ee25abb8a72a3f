'use strict';
// The transcript as a list that only shows what is in sight: it puts together what the files beside this one do.
window.opsdash = window.opsdash || {};
{
  const { make, Geometry, Groups, Keys, LineStore, Loader, Rows, Scroller, Target, Words } = window.opsdash;
  const SPARE_PX = 240; // above and below what is in sight
  const MOST_ELEMENTS = 900;

  class Transcript {
    constructor(element, start) {
      this.element = element;
      this.store = new LineStore(start);
      this.tail = start.tail || '';
      this.groups = new Groups();
      this.geometry = new Geometry();
      this.found = null; // the line where the search stands
      this.pattern = null; // what is searched, to be marked
      this.isFollowing = true;
      this.isWrapped = false;
      this.hasTimes = false;
      this.anchor = null; // {item, delta}: while nothing is followed, this row stays where it is
      this.drawing = false;
      this.build();
      this.words = new Words(this);
      this.target = new Target(this);
      this.keys = new Keys(this);
      this.loader = new Loader(element.dataset.lines, this.store, {
        came: () => this.drawSoon(),
        say: (words) => this.words.notify('load', words),
      });
      this.listen();
      this.resized();
      this.target.obeyAddress();
      this.draw();
    }

    get last() {
      return this.store.last;
    }

    get isRunning() {
      const state = document.getElementById('connection_state')?.dataset.state;
      return document.querySelector('[live-url]') !== null && state !== 'ended';
    }

    build() {
      this.frame = make('div', 'transcript-frame');
      this.element.replaceWith(this.frame);
      this.frame.append(this.element);
      this.element.replaceChildren();
      this.canvas = make('div', 'transcript__rows', this.element);
      this.window = make('div', 'transcript__window', this.canvas);
      this.rows = new Rows(this.window);
      this.scroller = new Scroller(this.element, this.canvas);
      this.scroller.settled = () => this.draw();
    }

    listen() {
      this.element.addEventListener('scroll', () => this.onScroll(), { passive: true });
      this.element.addEventListener('transcript:lines', ({ detail }) => this.append(detail));
      this.element.addEventListener('transcript:tail', ({ detail }) => this.replaceTail(detail.text));
      this.element.addEventListener('click', ({ target }) => this.onClick(target));
      document.addEventListener('htmx:afterSwap', () => this.readGroups());
      new ResizeObserver(() => this.resized()).observe(this.element);
    }

    // -- what changes

    append({ first, at, lines, gap }) {
      this.store.setGap(gap);
      this.store.add({ first, at, lines });
      this.tail = '';
      this.changed();
    }

    replaceTail(text) {
      if (this.tail === text) return;
      this.tail = text;
      this.drawSoon();
    }

    changed() {
      this.target.say();
      this.words.summariseSoon();
      this.drawSoon();
      this.element.dispatchEvent(new CustomEvent('transcript:changed'));
    }

    readGroups() {
      this.groups.read();
      this.drawSoon();
      this.element.dispatchEvent(new CustomEvent('transcript:groups'));
    }

    resized() {
      const { clientHeight, clientWidth } = this.element;
      const { sizes } = this.geometry;
      const before = [this.boxWidth, sizes.row];
      this.boxHeight = clientHeight;
      this.boxWidth = clientWidth;
      sizes.row = this.heightOfNew('line');
      sizes.group = this.heightOfNew('group');
      if (before[0] !== clientWidth || before[1] !== sizes.row) this.geometry.extras.clear();
      this.drawSoon();
    }

    heightOfNew(kind) {
      const row = this.rows.take('measured', kind);
      this.window.append(row.element);
      if (kind === 'line') row.text.textContent = 'x';
      const { height } = row.element.getBoundingClientRect();
      this.rows.release('measured', row);
      return height || this.geometry.sizes.row;
    }

    // -- where the reader is

    /** Any move upwards leaves the end, however small. A box that became higher moves by itself: that is none. */
    onScroll() {
      const { isResized } = this.scroller;
      const by = this.scroller.read();
      if (!by) return;
      if (by < 0) this.isFollowing = this.isFollowing && isResized;
      else if (this.scroller.isAtEnd) this.isFollowing = true;
      this.anchor = this.topItem();
      this.drawSoon();
    }

    topItem() {
      const { y } = this.scroller;
      const [item] = this.geometry.between(y, y + 1);
      return item ? { item, delta: y - item.top } : null;
    }

    follow() {
      this.isFollowing = true;
      this.element.focus({ preventScroll: true });
      this.drawSoon();
    }

    /** To the first line. */
    toStart() {
      this.isFollowing = false;
      this.scroller.moveTo(0);
      this.anchor = this.topItem();
      this.element.focus({ preventScroll: true });
      this.drawSoon();
    }

    /** Where the reader is now, whatever comes. */
    stay() {
      this.isFollowing = false;
      this.anchor = this.topItem();
    }

    /** To a line, wherever it is: its group is opened, and it is loaded when it is in sight. */
    goTo(number) {
      const group = this.groups.of(number);
      if (group && !group.isOpen) this.open(group);
      this.isFollowing = false;
      this.anchor = { item: { kind: 'line', number }, delta: -this.boxHeight / 3, isJump: true };
      this.element.scrollIntoView({ block: 'nearest' });
      this.drawSoon();
    }

    open(group) {
      this.groups.set(group, true);
      this.element.dispatchEvent(new CustomEvent('transcript:groups'));
    }

    isInSight(number) {
      if (!this.geometry.isShown(number)) return false;
      const from = this.geometry.topOf({ kind: 'line', number }) - this.scroller.y;
      return from >= 0 && from + this.geometry.heightOf(number) <= this.boxHeight;
    }

    get firstInSight() {
      const { y } = this.scroller;
      return this.geometry.between(y, y + this.boxHeight).find((item) => item.kind === 'line')?.number || 1;
    }

    // -- how it looks

    onClick(element) {
      const row = this.rows.of(element);
      if (row?.group && row.button.contains(element)) this.toggle(row.group);
    }

    toggle(group) {
      this.anchor = this.topItem();
      this.isFollowing = false;
      this.groups.set(group, !group.isOpen);
      this.draw();
      this.isFollowing = this.scroller.isAtEnd;
      this.element.dispatchEvent(new CustomEvent('transcript:groups'));
    }

    openAll(isOpen) {
      this.anchor = this.topItem();
      for (const group of this.groups.all) this.groups.set(group, isOpen);
      this.draw();
      this.element.dispatchEvent(new CustomEvent('transcript:groups'));
    }

    wrap(isWrapped) {
      this.anchor = this.topItem();
      this.isWrapped = isWrapped;
      this.frame.classList.toggle('transcript-frame--wrap', isWrapped);
      this.geometry.extras.clear();
      this.draw();
    }

    showTimes(hasTimes) {
      this.anchor = this.topItem();
      this.hasTimes = hasTimes;
      this.geometry.extras.clear();
      this.draw();
    }

    mark(pattern, found) {
      this.pattern = pattern;
      this.found = found;
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

    draw() {
      if (!this.boxHeight) return;
      this.place();
      const { y } = this.scroller;
      const items = this.geometry.between(y - SPARE_PX, y + this.boxHeight + SPARE_PX);
      const rows = this.fill(items);
      if (this.measure(items, rows)) this.place();
      if (items.length) this.window.style.transform = `translateY(${this.placeOf(items[0])}px)`;
      if (this.anchor) this.anchor = { ...this.anchor, delta: this.offsetOf(this.anchor.item), isJump: false };
      this.loader.want(items.filter((item) => item.kind === 'line').map((item) => item.number));
      this.words.offer();
    }

    place() {
      const { last, gap } = this.store;
      this.geometry.update({ last, gap, groups: this.groups.all, hasTail: this.tail !== '' });
      this.scroller.resize(this.geometry.height, this.boxHeight);
      if (this.isFollowing) return this.scroller.moveTo(this.scroller.most);
      if (!this.anchor) return undefined;
      const y = this.geometry.topOf(this.anchor.item) + this.anchor.delta;
      return this.anchor.isJump ? this.scroller.moveTo(y) : this.scroller.correctTo(y);
    }

    placeOf(item) {
      return Math.round(this.geometry.topOf(item) + this.scroller.shift);
    }

    offsetOf(item) {
      return this.scroller.y - this.geometry.topOf(item);
    }

    fill(items) {
      this.element.style.setProperty('--digits', String(Math.max(6, String(this.last).length)));
      this.store.look(items.filter((item) => item.kind === 'line').map((item) => item.number));
      const focused = this.rows.of(document.activeElement);
      const rows = this.rows.draw(items, (row, item, most) => row.show(this.contentOf(item), most), MOST_ELEMENTS);
      if (focused && !this.element.contains(document.activeElement)) this.element.focus({ preventScroll: true });
      return rows;
    }

    contentOf(item) {
      const { pattern, hasTimes: withTime } = this;
      if (item.kind === 'tail') return { raw: this.tail, isTail: true, isTarget: false, isFound: false, withTime };
      if (item.kind !== 'line') return item;
      const { number } = item;
      return {
        number,
        raw: this.store.get(number),
        at: this.store.at(number),
        isTail: false,
        isTarget: this.target.has(number),
        isFound: number === this.found,
        pattern,
        withTime,
      };
    }

    /** Whether something is of another height than was known. */
    measure(items, rows) {
      let isNews = false;
      items.forEach((item, index) => {
        if (item.kind !== 'gap' && !this.isWrapped) return;
        if (this.learn(item, rows[index].element.getBoundingClientRect().height)) isNews = true;
      });
      return isNews;
    }

    learn({ kind, number }, height) {
      const { sizes, extras } = this.geometry;
      if (kind === 'line') return this.store.get(number) !== undefined && extras.set(number, height - sizes.row);
      const isNews = sizes[kind] !== height;
      sizes[kind] = height;
      return isNews;
    }
  }

  function show(element, start) {
    if (!start.removed) return new Transcript(element, start);
    const sentence = make('p', 'note note--info transcript__removed');
    sentence.textContent = start.removed;
    element.replaceWith(sentence);
    return null;
  }

  const element = document.getElementById('transcript');
  const data = document.getElementById('transcript_lines');
  if (element) window.opsdash.transcript = show(element, data ? JSON.parse(data.textContent) : {});
}
