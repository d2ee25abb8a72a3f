'use strict';
// What the connection of a live page is, in words: #connection_state and its copy.
window.opsdash = window.opsdash || {};
{
  const WORDS = {
    'connecting': 'connecting',
    'live': 'live',
    'every': 'live', // the server has many pages to tell, and is asked again and again
    'silent': 'silent',
    'reconnecting': 'reconnecting',
    'paused': 'paused (tab hidden)',
    'ended': 'ended',
    'signed-out': 'signed out: reload to log in',
    'gone': 'gone: reload the page',
  };

  /** The one place that says what the connection is. The seconds are outside of what a screen reader is told. */
  class StateView {
    show(state, seconds) {
      const element = document.getElementById('connection_state');
      if (!element) return;
      if (!element.querySelector('[role=status]')) this.build(element);
      const [word, detail] = element.children;
      const words = state === 'every' ? `${WORDS.every}, every ${seconds} s` : WORDS[state];
      element.dataset.state = state === 'every' ? 'live' : state;
      if (word.textContent !== words) word.textContent = words;
      detail.textContent = seconds === undefined || state === 'every' ? '' : ` (${seconds} s)`;
      this.copy(element);
    }

    /** Where the transcript fills the screen, a copy is shown in it. */
    copy(element) {
      for (const copy of document.querySelectorAll('.connection--copy')) {
        copy.dataset.state = element.dataset.state;
        copy.textContent = element.textContent;
      }
    }

    build(element) {
      const word = document.createElement('span');
      word.setAttribute('role', 'status');
      const detail = document.createElement('span');
      detail.setAttribute('aria-hidden', 'true');
      element.replaceChildren(word, detail);
    }
  }

  window.opsdash.StateView = StateView;
}
