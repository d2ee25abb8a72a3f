'use strict';
// Which pixel of the whole transcript stands at the top of the box. Browsers clip what is higher than some 30 million
// pixels: a higher transcript has a lower canvas, on which small steps are exact and only the thumb's are larger.
window.opsdash = window.opsdash || {};
{
  const HIGHEST = 8_000_000; // also where positions are still exact to half a pixel
  const EDGE = HIGHEST / 4; // so far from both ends the canvas is not stretched
  const STEP_BOXES = 4; // what moves by less is a wheel or a key, not the thumb
  const IDLE_MS = 250;

  class Scroller {
    constructor(box, canvas) {
      this.box = box;
      this.canvas = canvas;
      this.y = 0; // of the whole
      this.scrollTop = 0; // of the canvas, as it was read or set last
      this.height = 0;
      this.boxHeight = 0;
      this.timer = null;
    }

    get most() {
      return Math.max(0, this.height - this.boxHeight);
    }

    get mostScrolled() {
      return Math.max(0, Math.min(this.height, HIGHEST) - this.boxHeight);
    }

    /** What to add to a place in the whole to have its place on the canvas. */
    get shift() {
      return this.scrollTop - this.y;
    }

    get isAtEnd() {
      return this.most - this.y < 1;
    }

    /** The box has another height than was told, and the browser may have moved what is in it. */
    get isResized() {
      return this.box.clientHeight !== this.boxHeight;
    }

    resize(height, boxHeight) {
      if (height === this.height && boxHeight === this.boxHeight) return;
      this.height = height;
      this.boxHeight = boxHeight;
      this.canvas.style.height = `${Math.min(height, HIGHEST)}px`;
    }

    /** Somebody scrolled, or the browser tells of our own move. Returns by how much the canvas moved. */
    read() {
      const before = this.scrollTop;
      this.scrollTop = this.box.scrollTop;
      const moved = this.scrollTop - before;
      if (moved) this.moved(moved);
      return moved;
    }

    moved(by) {
      const isStep = Math.abs(by) <= STEP_BOXES * this.boxHeight;
      this.y = isStep ? this.y + by : this.whole(this.scrollTop);
      if (this.scrollTop <= 0) this.y = 0;
      else if (this.scrollTop >= this.mostScrolled - 1) this.y = this.most;
      this.y = Math.min(this.most, Math.max(0, this.y));
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        this.timer = null;
        this.settle();
      }, IDLE_MS);
    }

    /** After somebody scrolled: the thumb goes where it belongs, and nothing in the box moves. */
    settle() {
      if (Math.abs(this.onCanvas(this.y) - this.scrollTop) < 1) return;
      this.moveTo(this.y);
      this.settled?.();
    }

    moveTo(y) {
      this.y = Math.min(this.most, Math.max(0, y));
      const wanted = this.onCanvas(this.y);
      if (Math.abs(wanted - this.scrollTop) < 0.5) return;
      this.box.scrollTop = wanted;
      this.scrollTop = this.box.scrollTop;
    }

    /** As moveTo, but while somebody scrolls the browser's own movement is left alone. */
    correctTo(y) {
      if (this.timer === null) this.moveTo(y);
      else this.y = Math.min(this.most, Math.max(0, y));
    }

    whole(scrollTop) {
      if (this.height <= HIGHEST) return scrollTop;
      if (scrollTop <= EDGE) return scrollTop;
      if (scrollTop >= this.mostScrolled - EDGE) return this.most - (this.mostScrolled - scrollTop);
      return EDGE + (scrollTop - EDGE) * this.stretch;
    }

    onCanvas(y) {
      if (this.height <= HIGHEST) return y;
      if (y <= EDGE) return y;
      if (y >= this.most - EDGE) return this.mostScrolled - (this.most - y);
      return EDGE + (y - EDGE) / this.stretch;
    }

    get stretch() {
      return (this.most - 2 * EDGE) / (this.mostScrolled - 2 * EDGE);
    }
  }

  window.opsdash.Scroller = Scroller;
}
