'use strict';
// The lines that are in memory: blocks of them, of which those not looked at for longest go when there are too many.
window.opsdash = window.opsdash || {};
{
  const BLOCK = 200; // lines
  const MOST_LINES = 30_000;
  const MOST_CHARACTERS = 8_000_000;

  const blockOf = (number) => Math.floor((number - 1) / BLOCK);

  class Block {
    constructor() {
      this.lines = new Array(BLOCK);
      this.moments = new Array(BLOCK);
      this.count = 0;
      this.characters = 0;
    }

    put(place, line, at) {
      if (this.lines[place] !== undefined) return false;
      this.lines[place] = line;
      this.moments[place] = at;
      this.count += 1;
      this.characters += line.length;
      return true;
    }
  }

  class LineStore {
    constructor({ last = 0, chunks = [], gap = null } = {}) {
      this.last = last; // the number of the last line there is, in memory or not
      this.gap = gap; // [a, b]: these are kept nowhere any more
      this.blocks = new Map(); // number of block -> Block, the one looked at last at the end
      this.count = 0;
      this.characters = 0;
      this.inSight = new Set(); // blocks
      for (const chunk of chunks) this.add(chunk);
    }

    /** Lines that came, in whatever order; one that is there stays. Returns how many are new. */
    add({ first, at, lines }) {
      let added = 0;
      for (let index = 0; index < lines.length; index += 1) {
        const number = first + index;
        if (number >= 1 && this.put(number, lines[index], at)) added += 1;
      }
      this.last = Math.max(this.last, first + lines.length - 1);
      this.evict();
      return added;
    }

    put(number, line, at) {
      const index = blockOf(number);
      const block = this.touch(index) || this.open(index);
      if (!block.put((number - 1) % BLOCK, line, at)) return false;
      this.count += 1;
      this.characters += line.length;
      return true;
    }

    open(index) {
      const block = new Block();
      this.blocks.set(index, block);
      this.newest = index;
      return block;
    }

    touch(index) {
      const block = this.blocks.get(index);
      if (!block || this.newest === index) return block;
      this.blocks.delete(index);
      this.blocks.set(index, block);
      this.newest = index;
      return block;
    }

    get(number) {
      return this.blocks.get(blockOf(number))?.lines[(number - 1) % BLOCK];
    }

    /** Epoch milliseconds of the piece that a line came with. */
    at(number) {
      return this.blocks.get(blockOf(number))?.moments[(number - 1) % BLOCK];
    }

    isKept(number) {
      if (number < 1 || number > this.last) return false;
      return !this.gap || number < this.gap[0] || number > this.gap[1];
    }

    isMissing(number) {
      return this.isKept(number) && this.get(number) === undefined;
    }

    setGap(gap) {
      if (!gap || (this.gap && gap[0] === this.gap[0] && gap[1] === this.gap[1])) return;
      this.gap = gap;
      this.last = Math.max(this.last, gap[1]);
      for (const [index, block] of this.blocks) {
        if (index * BLOCK + 1 >= gap[0] && (index + 1) * BLOCK <= gap[1]) this.drop(index, block);
      }
    }

    /** These are looked at: they stay. */
    look(numbers) {
      this.inSight = new Set(numbers.map(blockOf));
      for (const index of this.inSight) this.touch(index);
    }

    evict() {
      for (const [index, block] of this.blocks) {
        if (this.count <= MOST_LINES && this.characters <= MOST_CHARACTERS) return;
        if (!this.inSight.has(index) && index !== this.newest) this.drop(index, block);
      }
    }

    drop(index, block) {
      this.blocks.delete(index);
      if (this.newest === index) this.newest = null;
      this.count -= block.count;
      this.characters -= block.characters;
    }
  }

  window.opsdash.LineStore = LineStore;
}
