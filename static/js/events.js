'use strict';
// Reads text/event-stream by hand: EventSource can neither say where to resume nor tell a login page from an end.
window.opsdash = window.opsdash || {};
{
  const LINE_END = /\r\n|\n|\r/g;
  const SLICE = 65_536; // characters that are read at once
  const SLICE_MS = 12; // of work, before the page may draw

  /** A question or its answer did not come through. By its place, since its kind is that of our own mistakes too. */
  class LostLine extends Error {}

  const lost = (error) => { throw new LostLine(error.message); };

  /** Feed it decoded text in any slices; it calls onEvent({event, data}) for each complete event. Lines carry their own
   * numbers: `id:` is not read. */
  class EventReader {
    constructor(onEvent) {
      this.onEvent = onEvent;
      this.rest = []; // pieces of the line that is not complete: joined once, however many they are
      this.endedWithReturn = false;
      this.clear();
    }

    clear() {
      this.event = 'message';
      this.data = [];
    }

    push(text) {
      if (!text) return;
      // Of a \r\n the line ended with the first half; when the second half comes later it ends nothing.
      const all = this.endedWithReturn && text[0] === '\n' ? text.slice(1) : text;
      this.endedWithReturn = text.endsWith('\r');
      let start = 0;
      LINE_END.lastIndex = 0;
      for (let end; (end = LINE_END.exec(all)); start = LINE_END.lastIndex) {
        this.rest.push(all.slice(start, end.index));
        const line = this.rest.join('');
        this.rest = [];
        this.line(line);
      }
      if (start < all.length) this.rest.push(all.slice(start));
    }

    line(line) {
      if (line === '') return this.dispatch();
      if (line.startsWith(':')) return undefined;
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') this.event = value;
      else if (field === 'data') this.data.push(value);
      return undefined;
    }

    dispatch() {
      const { event, data } = this;
      this.clear();
      if (data.length) this.onEvent({ event, data: data.join('\n') });
    }
  }

  /** Reads a response to its end, however much comes at once, in slices between which the page may draw. */
  class BodyReader {
    /** `onSign()` with whatever comes; once `isOurs()` is false nothing is taken any more. */
    constructor({ isOurs, onSign, onEvent }) {
      this.isOurs = isOurs;
      this.onSign = onSign;
      this.events = new EventReader((event) => { if (isOurs()) onEvent(event); });
    }

    async read(body) {
      const decoder = new TextDecoder();
      const reader = body.getReader();
      this.workedSince = performance.now();
      for (;;) {
        const { done, value } = await reader.read().catch(lost);
        if (done || !this.isOurs()) return;
        this.onSign();
        await this.take(decoder.decode(value, { stream: true }));
      }
    }

    async take(text) {
      for (let start = 0; start < text.length; start += SLICE) {
        if (performance.now() - this.workedSince > SLICE_MS) await this.pause();
        if (!this.isOurs()) return;
        this.events.push(text.slice(start, start + SLICE));
      }
    }

    async pause() {
      await new Promise((resolve) => { setTimeout(resolve, 0); });
      this.workedSince = performance.now();
    }
  }

  window.opsdash.LostLine = LostLine;
  window.opsdash.lost = lost;
  window.opsdash.EventReader = EventReader;
  window.opsdash.BodyReader = BodyReader;
}
