'use strict';
// A raw line -> runs of plain text with classes. Only what stands in the allow-list has a look; nothing becomes HTML.
window.opsdash = window.opsdash || {};
{
  const LONGEST_SHOWN = 4000; // characters of a line
  const BEFORE_HIT = 60; // characters that are shown before what was searched, where the line begins later

  // CSI, OSC / DCS / PM / APC strings with their end, and the two-character sequences.
  const ESCAPES = /\u001b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\u0007\u001b]*(?:\u0007|\u001b\\)|[ -/]*[0-~])|\u009b[0-?]*[ -/]*[@-~]/g;
  const LOOKS = /^(?:\u001b\[|\u009b)([\d;:]*)m$/; // Select Graphic Rendition
  const CONTROLS = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g;
  const TURNS = /[\u202a-\u202e\u2066-\u2069]/g; // would make a line read other than it is
  const WITH_PARAMETERS = [38, 48]; // a colour of a palette or in red, green and blue: not ours

  const picture = (character) => {
    const code = character.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? '\u2421' : '\ufffd';
  };

  const clean = (text) => text.replace(CONTROLS, picture).replace(TURNS, '\ufffd');

  class Look {
    constructor() {
      this.reset();
    }

    reset() {
      this.bold = this.dim = this.italic = this.underline = false;
      this.fg = this.bg = null;
    }

    obey(parameters) {
      const codes = parameters.split(';');
      for (let index = 0; index < codes.length; index += 1) {
        if (codes[index].includes(':')) continue;
        const code = Number(codes[index]);
        if (!WITH_PARAMETERS.includes(code)) this.take(code);
        else if (codes[index + 1] === '5') index += 2;
        else if (codes[index + 1] === '2') index += 4;
        else return;
      }
    }

    take(code) {
      if (code === 0) this.reset();
      else if (code === 1) this.bold = true;
      else if (code === 2) this.dim = true;
      else if (code === 3) this.italic = true;
      else if (code === 4) this.underline = true;
      else if (code === 22) this.bold = this.dim = false;
      else if (code === 23) this.italic = false;
      else if (code === 24) this.underline = false;
      else this.colour(code);
    }

    colour(code) {
      if (code === 39) this.fg = null;
      else if (code === 49) this.bg = null;
      else if (code >= 30 && code <= 37) this.fg = code - 30;
      else if (code >= 90 && code <= 97) this.fg = code - 82;
      else if (code >= 40 && code <= 47) this.bg = code - 40;
      else if (code >= 100 && code <= 107) this.bg = code - 92;
    }

    get classes() {
      const names = ['bold', 'dim', 'italic', 'underline'].filter((name) => this[name]);
      if (this.fg !== null) names.push(`fg-${this.fg}`);
      if (this.bg !== null) names.push(`bg-${this.bg}`);
      return names.map((name) => `ansi-${name}`).join(' ');
    }
  }

  /** What a terminal would leave of a line, as [{text, classes}]. `classes` is one string, "" for none. */
  const runs = (raw) => {
    const last = lastOf(raw);
    const found = parse(last.slice(0, LONGEST_SHOWN));
    const more = last.length - LONGEST_SHOWN;
    if (more > 0) found.push(moreOf(more));
    return found;
  };

  /** The same; of a line that is longer than is shown so much that what is searched can be seen. */
  const runsAround = (raw, pattern) => {
    const from = beginFor(raw, pattern);
    return from ? partOf(parse(lastOf(raw)), from) : runs(raw);
  };

  /** Where to begin so that what is searched can be seen: 0 where it is seen from the beginning, too. */
  const beginFor = (raw, pattern) => {
    const last = lastOf(raw);
    if (last.length <= LONGEST_SHOWN) return 0;
    const [hit] = textOf(parse(last)).matchAll(pattern);
    const shown = textOf(parse(last.slice(0, LONGEST_SHOWN)));
    return hit && hit.index + hit[0].length > shown.length ? Math.max(0, hit.index - BEFORE_HIT) : 0;
  };

  /** A carriage return leads back to the beginning of the line. */
  const lastOf = (raw) => {
    const whole = raw.replace(/\r+$/, '');
    return whole.slice(whole.lastIndexOf('\r') + 1);
  };

  const textOf = (found) => found.map((run) => run.text).join('');

  const moreOf = (count) => ({ text: `… (${count.toLocaleString('en')} more characters)`, classes: '' });

  const partOf = (found, from) => {
    const part = [{ text: `(${from.toLocaleString('en')} characters) …`, classes: '' }];
    let start = 0;
    for (const { text, classes } of found) {
      const piece = text.slice(Math.max(0, from - start), Math.max(0, from + LONGEST_SHOWN - start));
      if (piece) part.push({ text: piece, classes });
      start += text.length;
    }
    const more = start - from - LONGEST_SHOWN;
    if (more > 0) part.push(moreOf(more));
    return part;
  };

  const parse = (shown) => {
    const found = [];
    const look = new Look();
    let start = 0;
    for (const escape of shown.matchAll(ESCAPES)) {
      add(found, shown.slice(start, escape.index), look);
      start = escape.index + escape[0].length;
      const parameters = LOOKS.exec(escape[0]);
      if (parameters) look.obey(parameters[1]);
    }
    add(found, shown.slice(start), look);
    return found;
  };

  const add = (found, text, look) => {
    if (!text) return;
    const { classes } = look;
    const before = found.at(-1);
    if (before && before.classes === classes) before.text += clean(text);
    else found.push({ text: clean(text), classes });
  };

  const plain = (raw) => textOf(runs(raw));

  window.opsdash.ansi = { runs, runsAround, plain };
}
