'use strict';
// <div id="x" data-refresh="5" hx-get="…" hx-trigger="refresh" hx-swap="outerHTML"> is kept current while it is seen.
{
  const asked = new Map(); // id -> when it was asked for, ms
  let current = new Date();
  let focused = null;

  const elements = () => document.querySelectorAll('[data-refresh][id]');
  const isReading = (element) => {
    const selection = document.getSelection();
    return !selection.isCollapsed && element.contains(selection.anchorNode);
  };
  const mayAsk = (element) => !element.classList.contains('htmx-request') && !isReading(element);

  const ask = (element) => {
    asked.set(element.id, performance.now());
    element.dispatchEvent(new CustomEvent('refresh'));
  };

  const isDue = (element) => {
    if (!asked.has(element.id)) asked.set(element.id, performance.now());
    return performance.now() - asked.get(element.id) >= Number(element.dataset.refresh) * 1000;
  };

  const tick = () => {
    if (document.visibilityState === 'hidden') return;
    for (const element of elements()) if (isDue(element) && mayAsk(element)) ask(element);
  };

  const say = (words) => {
    const place = document.querySelector('[data-refresh-state]');
    if (place && place.textContent !== words) place.textContent = words;
    if (place) place.dataset.state = words ? 'reconnecting' : 'off';
  };

  const sayOld = () => say(`not current: opsdash has not answered since ${current.toLocaleTimeString()}`);

  /** The same link or control in the new list: by id, else the same kind with the same address or name. */
  const remember = (element) => {
    const active = document.activeElement;
    if (!active || active === element || !element.contains(active)) return null;
    const attribute = ['id', 'href', 'name'].find((name) => active.hasAttribute(name));
    if (!attribute) return null;
    const value = CSS.escape(active.getAttribute(attribute));
    return { id: element.id, selector: `${active.localName}[${attribute}="${value}"]` };
  };

  const restore = (place) => {
    document.getElementById(place.id)?.querySelector(place.selector)?.focus({ preventScroll: true });
  };

  /** A redirect that htmx followed ends at another path: that is a login page, not this list. */
  const isAnotherPage = ({ xhr, pathInfo }) => {
    const came = new URL(xhr.responseURL || pathInfo.finalRequestPath, document.baseURI);
    return came.pathname !== new URL(pathInfo.finalRequestPath, document.baseURI).pathname;
  };

  const isOurs = (event) => event.detail.elt?.hasAttribute?.('data-refresh');

  document.addEventListener('htmx:beforeSwap', (event) => {
    if (!isOurs(event)) return;
    if (isAnotherPage(event.detail)) {
      event.detail.shouldSwap = false;
      event.detail.elt.removeAttribute('data-refresh');
      say('signed out: reload to log in');
      return;
    }
    if (!event.detail.shouldSwap) return;
    current = new Date();
    focused = remember(event.detail.elt);
    say('');
  });

  document.addEventListener('htmx:afterSwap', () => {
    if (focused) restore(focused);
    focused = null;
  });

  for (const name of ['htmx:sendError', 'htmx:responseError', 'htmx:timeout']) {
    document.addEventListener(name, (event) => isOurs(event) && sayOld());
  }

  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') return;
    for (const element of elements()) if (mayAsk(element)) ask(element);
  });

  setInterval(tick, 500);
}
