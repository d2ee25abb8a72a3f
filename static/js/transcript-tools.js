'use strict';
// The bar over the transcript: search, wrap, timestamps, groups, first error, full screen, download.
window.opsdash = window.opsdash || {};
{
  const { make, transcript, Search } = window.opsdash;
  const COOKIE = 'opsdash_transcript';
  const A_YEAR_S = 365 * 24 * 3600;

  const readChoices = () => {
    const found = document.cookie.split('; ').find((each) => each.startsWith(`${COOKIE}=`));
    return new Set(found ? found.slice(COOKIE.length + 1).split('.') : []);
  };

  const keepChoices = (choices) => {
    const secure = window.location.protocol === 'https:' ? '; Secure' : '';
    document.cookie = `${COOKIE}=${[...choices].join('.')}; Path=/; Max-Age=${A_YEAR_S}; SameSite=Lax${secure}`;
  };

  const button = (parent, words, className = '') => {
    const element = make('button', `tool ${className}`.trim(), parent);
    element.type = 'button';
    element.textContent = words;
    return element;
  };

  class Tools {
    constructor() {
      this.bar = make('div', 'tools');
      this.bar.setAttribute('role', 'group');
      this.bar.setAttribute('aria-label', 'Tools of the transcript');
      transcript.frame.prepend(this.bar);
      this.choices = readChoices();
      this.buildSearch();
      this.buildChoice('wrap', 'Wrap', (isOn) => transcript.wrap(isOn));
      this.buildChoice('times', 'Timestamps', (isOn) => transcript.showTimes(isOn));
      this.buildGroups();
      this.buildFirstError();
      this.buildFullScreen();
      this.buildDownload();
      this.buildState();
      transcript.element.addEventListener('transcript:groups', () => this.showGroups());
      this.showGroups();
    }

    buildSearch() {
      const place = make('div', 'tools__search', this.bar);
      place.setAttribute('role', 'search');
      place.hidden = !transcript.element.dataset.search;
      const field = make('input', 'tools__field', place);
      field.type = 'search';
      field.placeholder = 'Search the lines';
      field.setAttribute('aria-label', 'Search the transcript');
      field.setAttribute('aria-keyshortcuts', '/');
      field.autocomplete = 'off';
      field.spellcheck = false;
      const matchCase = button(place, 'Aa', 'tool--case');
      matchCase.setAttribute('aria-label', 'Match case');
      matchCase.title = 'Match case';
      matchCase.setAttribute('aria-pressed', 'false');
      const previous = this.buildStep(place, 'Previous', 'up');
      const next = this.buildStep(place, 'Next', 'down');
      const said = make('span', 'tools__said', place);
      said.setAttribute('aria-live', 'polite');
      this.search = new Search(transcript, { field, matchCase, said, previous, next });
    }

    buildStep(place, words, direction) {
      const element = button(place, '', `tool--${direction}`);
      element.setAttribute('aria-label', `${words} match`);
      element.title = `${words} match`;
      element.setAttribute('aria-disabled', 'true');
      return element;
    }

    /** A toggle that is kept for a year. */
    buildChoice(name, words, obey) {
      const element = button(this.bar, words);
      const show = () => {
        element.setAttribute('aria-pressed', String(this.choices.has(name)));
        obey(this.choices.has(name));
      };
      element.addEventListener('click', () => {
        if (!this.choices.delete(name)) this.choices.add(name);
        keepChoices(this.choices);
        show();
      });
      if (this.choices.has(name)) show();
      else element.setAttribute('aria-pressed', 'false');
    }

    buildGroups() {
      this.groups = button(this.bar, 'Collapse all');
      this.groups.addEventListener('click', () => transcript.openAll(!transcript.groups.isAnyOpen));
    }

    buildFirstError() {
      this.firstError = button(this.bar, 'First error', 'tool--error');
      this.firstError.addEventListener('click', () => transcript.target.lead(transcript.groups.firstError));
    }

    showGroups() {
      const { all, isAnyOpen, firstError } = transcript.groups;
      this.groups.hidden = all.length === 0;
      this.groups.textContent = isAnyOpen ? 'Collapse all' : 'Expand all';
      this.firstError.hidden = firstError === null;
    }

    buildFullScreen() {
      const element = button(this.bar, 'Full screen');
      element.hidden = !document.fullscreenEnabled;
      element.addEventListener('click', () => {
        if (document.fullscreenElement) document.exitFullscreen();
        else transcript.frame.requestFullscreen().catch(() => this.refused());
      });
      document.addEventListener('fullscreenchange', () => {
        element.textContent = document.fullscreenElement ? 'Leave full screen' : 'Full screen';
      });
    }

    refused() {
      transcript.words.notify('screen', 'The browser does not allow full screen here.');
    }

    buildDownload() {
      const { download } = transcript.element.dataset;
      if (!download) return;
      const link = make('a', 'tool', this.bar);
      link.href = download;
      link.textContent = 'Download';
      link.setAttribute('download', '');
    }

    /** In full screen the page's own word on the connection is out of sight. live.js keeps both. */
    buildState() {
      const shown = document.getElementById('connection_state');
      const copy = make('span', 'connection connection--copy', this.bar);
      copy.setAttribute('aria-hidden', 'true');
      copy.textContent = shown?.textContent || '';
      copy.dataset.state = shown?.dataset.state || '';
    }
  }

  if (transcript) window.opsdash.tools = new Tools();
}
