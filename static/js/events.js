'use strict';
// Reads text/event-stream by hand: EventSource can neither say where to resume nor tell a login page from an end.
window.opsdash = window.opsdash || {};
{
  const LINE_END = /\r\n|\n|\r/g;

  /** Feed it decoded text in any slices; it calls onEvent({event, data, id}) for each complete event. */
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
      this.id = null;
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
      else if (field === 'id') this.id = value;
      return undefined;
    }

    dispatch() {
      const { event, data, id } = this;
      this.clear();
      if (data.length) this.onEvent({ event, data: data.join('\n'), id });
    }
  }

  window.opsdash.EventReader = EventReader;
}
