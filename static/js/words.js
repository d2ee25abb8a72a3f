'use strict';
// What the viewer says beside the lines: how many are new, what went wrong, and now and then a summary to be read aloud.
window.opsdash = window.opsdash || {};
{
  const { ansi, make } = window.opsdash;
  const SUMMARY_MS = 10_000;

  const status = (className, parent) => {
    const element = make('p', className, parent);
    element.setAttribute('role', 'status');
    return element;
  };

  class Words {
    constructor(transcript) {
      this.transcript = transcript;
      this.seen = transcript.last;
      this.notices = { load: '', target: '' };
      this.timer = null;
      this.more = make('button', 'button transcript__more', transcript.frame);
      this.more.type = 'button';
      this.more.hidden = true;
      this.more.addEventListener('click', () => transcript.follow());
      this.notice = status('transcript__notice', transcript.frame);
      this.summary = status('visually-hidden', transcript.frame);
      this.summarise();
    }

    /** "n new lines", counted from when the reader left the end. */
    offer() {
      const { isFollowing, last } = this.transcript;
      if (isFollowing) this.seen = last;
      const unseen = last - this.seen;
      this.more.hidden = unseen === 0;
      if (unseen) this.more.textContent = `${unseen.toLocaleString('en')} new ${unseen === 1 ? 'line' : 'lines'}`;
    }

    /** Each subject has one sentence, or none. */
    notify(subject, words) {
      this.notices[subject] = words;
      const all = Object.values(this.notices).filter(Boolean).join(' ');
      if (this.notice.textContent !== all) this.notice.textContent = all;
    }

    /** Who listens is not told each line. */
    summariseSoon() {
      this.timer ??= setTimeout(() => {
        this.timer = null;
        this.summarise();
      }, SUMMARY_MS);
    }

    summarise() {
      const { last, store } = this.transcript;
      if (!last) return;
      const text = ansi.plain(store.get(last) ?? '').slice(0, 200);
      this.summary.textContent = `${last} ${last === 1 ? 'line' : 'lines'}. Last: ${text}`;
    }
  }

  window.opsdash.Words = Words;
}
