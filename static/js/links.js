'use strict';
// Links to lines: #L120, or #L120-L134. Whatever else stands there leads nowhere.
window.opsdash = window.opsdash || {};
{
  const FORM = /^#L(\d{1,15})(?:-L?(\d{1,15}))?$/;

  /** [first, last], or null. */
  const read = (hash) => {
    const match = FORM.exec(hash);
    if (!match) return null;
    const ends = [Number(match[1]), Number(match[2] ?? match[1])];
    return ends.sort((one, other) => one - other);
  };

  const write = ([first, last]) => (first === last ? `#L${first}` : `#L${first}-L${last}`);

  /** The address says what is highlighted; nothing is loaded, and Back leads to the page before. */
  const show = (range) => {
    window.history.replaceState(window.history.state, '', write(range));
  };

  window.opsdash.links = { read, write, show };
}
