'use strict';
// The tab says how the job stands: data-title and data-favicon of whatever is on the page now.
{
  const show = () => {
    const source = document.querySelector('[data-title]');
    if (!source) return;
    if (document.title !== source.dataset.title) document.title = source.dataset.title;
    const icon = document.querySelector('link[rel=icon]');
    if (icon && source.dataset.favicon && icon.getAttribute('href') !== source.dataset.favicon) {
      icon.setAttribute('href', source.dataset.favicon);
    }
  };

  show();
  document.addEventListener('htmx:afterSwap', show);
}
