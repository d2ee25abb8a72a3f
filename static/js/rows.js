'use strict';
// The elements of the rows in sight. A row is kept as long as what it shows is in sight, and used again afterwards.
window.opsdash = window.opsdash || {};
{
  const { ansi } = window.opsdash;

  const make = (tag, className, parent) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    parent?.append(element);
    return element;
  };

  const setText = (element, text) => {
    if (element.textContent !== text) element.textContent = text;
  };

  class LineRow {
    constructor() {
      this.element = make('div', 'line');
      this.number = make('a', 'line__number', this.element);
      this.number.tabIndex = -1; // see keys.js
      this.time = null;
      this.text = make('span', 'line__text', this.element);
      this.shown = null;
      this.spans = 0;
    }

    /** `raw` is undefined where the line is not loaded; at most `most` elements are made of its colours and hits. */
    show({ number, raw, at, isTail, isTarget, isFound, pattern, withTime }, most) {
      const key = [number, isTail, isTarget, isFound, pattern?.source, pattern?.flags, withTime].join(' ');
      if (this.shown === key && this.raw === raw) return;
      this.shown = key;
      this.raw = raw;
      const { classList } = this.element;
      classList.toggle('line--tail', isTail);
      classList.toggle('line--target', isTarget);
      classList.toggle('line--found', isFound);
      classList.toggle('line--waiting', raw === undefined);
      this.element.setAttribute('aria-current', String(isTarget));
      this.showNumber(isTail ? null : number);
      this.showTime(withTime, at);
      this.showText(raw ?? '', pattern, isFound, most + this.spans);
    }

    showNumber(number) {
      setText(this.number, number === null ? '' : String(number));
      if (number === null) this.number.removeAttribute('href');
      else this.number.href = `#L${number}`;
    }

    showTime(withTime, at) {
      if (!withTime) {
        this.time?.remove();
        this.time = null;
        return;
      }
      this.time ||= make('time', 'line__time');
      if (!this.time.isConnected) this.text.before(this.time);
      const moment = at === undefined ? '' : new Date(at).toISOString();
      setText(this.time, moment.slice(11, 19));
      this.time.title = moment;
      this.time.dateTime = moment;
    }

    /** Where the search stands, so much of a very long line that a hit is in it. */
    showText(raw, pattern, isFound, most) {
      const runs = isFound && pattern ? ansi.runsAround(raw, pattern) : ansi.runs(raw);
      const pieces = pattern ? marked(runs, pattern) : runs;
      this.spans = 0;
      if (pieces.length === 1 && isBare(pieces[0])) return setText(this.text, pieces[0].text);
      const nodes = [];
      let rest = '';
      for (const piece of pieces) {
        if (this.spans >= most) rest += piece.text;
        else nodes.push(isBare(piece) ? piece.text : this.spanOf(piece));
      }
      return this.text.replaceChildren(...nodes, rest);
    }

    spanOf({ text, classes, isHit }) {
      this.spans += 1;
      const element = make(isHit ? 'mark' : 'span', classes);
      element.textContent = text;
      return element;
    }
  }

  const isBare = ({ classes, isHit }) => !classes && !isHit;

  /** The runs, cut where what was searched begins and ends. A hit may go over several runs. */
  function marked(runs, pattern) {
    const text = runs.map((run) => run.text).join('');
    const hits = [...text.matchAll(pattern)].filter((hit) => hit[0]).slice(0, 200);
    if (!hits.length) return runs;
    const pieces = [];
    let start = 0;
    for (const run of runs) {
      cut(run, start, hits, pieces);
      start += run.text.length;
    }
    return pieces;
  }

  function cut({ text, classes }, start, hits, pieces) {
    let done = 0;
    const add = (to, isHit) => {
      if (to > done) pieces.push({ text: text.slice(done, to), classes, isHit });
      done = Math.max(done, to);
    };
    for (const hit of hits) {
      const from = hit.index - start;
      const to = from + hit[0].length;
      if (to <= 0) continue;
      if (from >= text.length) break;
      add(Math.max(0, from), false);
      add(Math.min(text.length, to), true);
    }
    add(text.length, false);
  }

  /** The header of a step's lines: a button that opens and closes them. */
  class GroupRow {
    constructor() {
      this.spans = 0;
      this.element = make('div', 'group');
      this.button = make('button', 'group__toggle', this.element);
      this.button.type = 'button';
      this.button.tabIndex = -1;
      this.name = make('span', 'group__name', this.button);
      this.status = make('span', 'status', this.button);
      this.time = make('time', 'group__time', this.button);
    }

    show({ group }) {
      this.group = group;
      this.button.setAttribute('aria-expanded', String(group.isOpen));
      setText(this.name, group.name);
      this.status.className = `status status--${group.state}`;
      setText(this.status, group.word);
      this.showTime(group);
    }

    /** Of a step that runs elapsed.js counts on. */
    showTime({ duration, since }) {
      if (since && this.time.dataset.elapsedSince === since) return;
      if (since) this.time.dataset.elapsedSince = since;
      else delete this.time.dataset.elapsedSince;
      setText(this.time, duration);
    }
  }

  /** Stands for all lines that are not kept. */
  class GapRow {
    constructor() {
      this.spans = 0;
      this.element = make('p', 'gap');
    }

    show({ gap: [first, last] }) {
      const which = first === last ? `Line ${first.toLocaleString('en')} is`
        : `Lines ${first.toLocaleString('en')}–${last.toLocaleString('en')} are`;
      setText(this.element, `${which} not kept: this transcript is larger than its limit, `
        + 'of which its first and last part are kept.');
    }
  }

  const KINDS = { line: LineRow, tail: LineRow, group: GroupRow, gap: GapRow };
  const keyOf = ({ kind, number, group }) => `${kind} ${number ?? group?.first ?? ''}`;

  class Rows {
    constructor(parent) {
      this.parent = parent;
      this.drawn = new Map(); // key -> row
      this.spare = new Map(); // class -> rows
    }

    /** One row for each item, in order. `show(row, item, most)` fills it; returns the rows. */
    draw(items, show, mostElements) {
      const wanted = new Map(items.map((item) => [keyOf(item), item]));
      for (const [key, row] of this.drawn) if (!wanted.has(key)) this.release(key, row);
      let left = mostElements - 4 * items.length;
      for (const row of this.drawn.values()) left -= row.spans;
      let place = this.parent.firstElementChild;
      const rows = [];
      for (const [key, item] of wanted) {
        const row = this.drawn.get(key) || this.take(key, item.kind);
        if (row.element === place) place = place.nextElementSibling;
        else this.parent.insertBefore(row.element, place);
        const before = row.spans;
        show(row, item, Math.max(0, left));
        left -= row.spans - before;
        rows.push(row);
      }
      return rows;
    }

    take(key, kind) {
      const row = this.spare.get(KINDS[kind])?.pop() || new KINDS[kind]();
      this.drawn.set(key, row);
      return row;
    }

    release(key, row) {
      this.drawn.delete(key);
      row.element.remove();
      const kind = row.constructor;
      if (!this.spare.has(kind)) this.spare.set(kind, []);
      row.spans = 0;
      row.shown = null;
      this.spare.get(kind).push(row);
    }

    /** The row that an element is in. */
    of(element) {
      return [...this.drawn.values()].find((row) => row.element.contains(element));
    }
  }

  window.opsdash.Rows = Rows;
  window.opsdash.make = make;
}
