'use strict';
// What a reader opened or closed stays so when its part of the page is swapped. Only for <details> with an id.
{
  const chosen = new Map(); // id -> open

  document.addEventListener('click', (event) => {
    const details = event.target.closest?.('summary')?.parentElement;
    if (details?.id) chosen.set(details.id, !details.open);
  });

  document.addEventListener('htmx:afterSwap', () => {
    for (const [id, open] of chosen) {
      const details = document.getElementById(id);
      if (details) details.open = open;
    }
  });
}
