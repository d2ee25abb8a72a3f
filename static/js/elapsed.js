'use strict';
// Counts <time data-elapsed-since="ISO"> up each second, by the server's clock as it was when the page was made.
{
  const root = document.documentElement;
  const received = performance.timeOrigin + (performance.getEntriesByType('navigation')[0]?.responseStart || 0);
  const serverNow = Date.parse(root.dataset.serverNow || '');
  const skew = Number.isNaN(serverNow) ? 0 : received - serverNow;

  const inWords = (seconds) => {
    if (seconds < 60) return `${seconds} s`;
    const minutes = Math.floor(seconds / 60);
    if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
    return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  };

  const tick = () => {
    for (const element of document.querySelectorAll('time[data-elapsed-since]')) {
      const since = Date.parse(element.dataset.elapsedSince);
      if (Number.isNaN(since)) continue;
      element.textContent = inWords(Math.max(0, Math.round((Date.now() - skew - since) / 1000)));
    }
  };

  tick();
  setInterval(tick, 1000);
  document.addEventListener('htmx:afterSwap', tick);
}
