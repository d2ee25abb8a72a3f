'use strict';
// Where each row stands: lines 1..last with the headers of groups, the gap and the unfinished line between them.
window.opsdash = window.opsdash || {};
{
  const BLOCK = 256; // lines
  const MOST_MEASURED = 100_000;

  /** By how many pixels wrapped lines are higher than one row. What was never drawn counts as one row. */
  class Extras {
    constructor() {
      this.clear();
    }

    clear() {
      this.blocks = new Map(); // number of block -> {sum, lines: Map(number -> pixels)}
      this.count = 0;
      this.order = null;
    }

    /** Whether that is news. */
    set(number, pixels) {
      const index = Math.floor(number / BLOCK);
      const block = this.blocks.get(index);
      const before = block?.lines.get(number) || 0;
      if (before === pixels) return false;
      this.put(index, block || { sum: 0, lines: new Map() }, number, pixels, before);
      return true;
    }

    put(index, block, number, pixels, before) {
      if (!block.lines.has(number)) this.count += 1;
      block.lines.set(number, pixels);
      block.sum += pixels - before;
      this.blocks.delete(index);
      this.blocks.set(index, block); // now the newest
      this.order = null;
      for (const [oldest, { lines }] of this.blocks) {
        if (this.count <= MOST_MEASURED) return;
        this.count -= lines.size;
        this.blocks.delete(oldest);
      }
    }

    get(number) {
      return this.blocks.get(Math.floor(number / BLOCK))?.lines.get(number) || 0;
    }

    /** The sum of all lines before this one. */
    before(number) {
      if (!this.blocks.size) return 0;
      this.order ||= this.sums();
      const index = Math.floor(number / BLOCK);
      let sum = this.order.sums[firstAtLeast(this.order.indexes, index)];
      for (const [other, pixels] of this.blocks.get(index)?.lines || []) if (other < number) sum += pixels;
      return sum;
    }

    sums() {
      const indexes = [...this.blocks.keys()].sort((one, other) => one - other);
      const sums = [0];
      for (const index of indexes) sums.push(sums.at(-1) + this.blocks.get(index).sum);
      return { indexes, sums };
    }
  }

  function firstAtLeast(sorted, value) {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const isIn = (number, gap) => gap !== null && number >= gap[0] && number <= gap[1];

  /** Items are {kind: 'line', number}, {kind: 'group', group}, {kind: 'gap', gap}, {kind: 'tail'}. */
  class Geometry {
    constructor() {
      this.sizes = { row: 20, group: 28, gap: 20, tail: 20 };
      this.extras = new Extras();
      this.pieces = [];
      this.height = 0;
    }

    /** `groups` are sorted and do not overlap: {first, last (null: it goes on), isOpen}. */
    update({ last, gap, groups, hasTail }) {
      this.pieces = [];
      this.height = 0;
      this.gap = gap;
      let next = 1;
      groups.forEach((group, index) => {
        if (group.first > last) return;
        const end = Math.min(group.last ?? last, (groups[index + 1]?.first ?? Infinity) - 1, last);
        this.addSpan(next, group.first - 1);
        this.addGroup(group, group.first, end);
        next = Math.max(next, end + 1);
      });
      this.addSpan(next, last);
      if (hasTail) this.add({ kind: 'tail', height: this.sizes.tail });
    }

    addGroup(group, first, last) {
      const isGone = isIn(first, this.gap) && isIn(last, this.gap);
      const startsInGap = isIn(first, this.gap);
      if (startsInGap) this.addGap(first, last);
      if (isGone) return;
      this.add({ kind: 'group', group, first, last, height: this.sizes.group });
      if (group.isOpen) this.addSpan(startsInGap ? this.gap[1] + 1 : first, last);
      else if (isIn(last, this.gap)) this.addGap(first, last);
    }

    addSpan(first, last) {
      if (!this.gap) return this.addLines(first, last);
      this.addLines(first, Math.min(last, this.gap[0] - 1));
      this.addGap(first, last);
      return this.addLines(Math.max(first, this.gap[1] + 1), last);
    }

    /** The one row of the gap stands where the gap begins. */
    addGap(first, last) {
      if (this.gap[0] < first || this.gap[0] > last) return;
      this.add({ kind: 'gap', gap: this.gap, first: this.gap[0], last: this.gap[1], height: this.sizes.gap });
    }

    addLines(first, last) {
      if (last < first) return;
      const extra = this.extras.before(last + 1) - this.extras.before(first);
      this.add({ kind: 'lines', first, last, height: (last - first + 1) * this.sizes.row + extra });
    }

    add(piece) {
      this.pieces.push({ ...piece, top: this.height });
      this.height += piece.height;
    }

    // -- line <-> pixel

    topOfLine(piece, number) {
      const extra = this.extras.before(number) - this.extras.before(piece.first);
      return piece.top + (number - piece.first) * this.sizes.row + extra;
    }

    heightOf(number) {
      return this.sizes.row + this.extras.get(number);
    }

    /** The top of an item; of a line that is not shown, that of the row that stands for it. */
    topOf({ kind, number, group }) {
      if (kind === 'line') return this.topOfNumber(number);
      const piece = this.pieces.find((each) => each.kind === kind && each.group?.first === group?.first);
      if (piece) return piece.top;
      return kind === 'group' ? this.topOfNumber(group.first) : this.height;
    }

    topOfNumber(number) {
      let standsFor = null;
      for (const piece of this.pieces) {
        if (piece.first > number) break;
        if (piece.kind === 'lines' && number <= piece.last) return this.topOfLine(piece, number);
        if (number <= piece.last) standsFor = piece;
      }
      return standsFor ? standsFor.top : this.height;
    }

    isShown(number) {
      return this.pieces.some((piece) => piece.kind === 'lines' && piece.first <= number && number <= piece.last);
    }

    /** All items that touch these pixels, each with its top and height. */
    between(from, to) {
      const items = [];
      for (let index = this.pieceAt(from); index < this.pieces.length; index += 1) {
        const piece = this.pieces[index];
        if (piece.top >= to) break;
        if (piece.kind === 'lines') this.addItems(items, piece, from, to);
        else items.push(piece);
      }
      return items;
    }

    addItems(items, piece, from, to) {
      let number = this.lineAt(piece, from);
      let top = this.topOfLine(piece, number);
      while (number <= piece.last && top < to) {
        const height = this.heightOf(number);
        items.push({ kind: 'line', number, top, height });
        number += 1;
        top += height;
      }
    }

    pieceAt(y) {
      let [low, high] = [0, this.pieces.length - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.pieces[middle].top <= y) low = middle;
        else high = middle - 1;
      }
      return Math.max(0, low);
    }

    lineAt(piece, y) {
      let [low, high] = [piece.first, piece.last];
      while (low < high) {
        const middle = Math.floor((low + high + 1) / 2);
        if (this.topOfLine(piece, middle) <= y) low = middle;
        else high = middle - 1;
      }
      return low;
    }
  }

  window.opsdash.Geometry = Geometry;
}
