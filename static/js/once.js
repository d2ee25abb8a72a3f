'use strict';
// A POST form is sent once, however often its button is clicked; and never by a button that is aria-disabled.
{
  const guarded = (form) => form.getAttribute('method')?.toLowerCase() === 'post' || form.hasAttribute('hx-post');
  const buttons = (form) => [...form.elements].filter((element) => element.type === 'submit');

  const refuse = (event) => {
    event.preventDefault();
    event.stopImmediatePropagation();
  };

  const lock = (form) => {
    form.dataset.sent = '';
    for (const button of buttons(form)) {
      if (button.getAttribute('aria-disabled') === 'true') continue;
      button.setAttribute('aria-disabled', 'true');
      button.dataset.locked = '';
    }
  };

  const unlock = (form) => {
    delete form.dataset.sent;
    for (const button of buttons(form)) {
      if (!('locked' in button.dataset)) continue;
      button.removeAttribute('aria-disabled');
      delete button.dataset.locked;
    }
  };

  // In the capture phase, so that htmx does not see what is refused.
  document.addEventListener('submit', (event) => {
    const form = event.target;
    const asked = event.submitter?.getAttribute('aria-disabled') === 'true';
    if (asked || (guarded(form) && 'sent' in form.dataset)) refuse(event);
  }, true);

  // After everybody else: what a validation stopped was not sent (htmx stops each of its own, and sends it itself).
  window.addEventListener('submit', (event) => {
    const form = event.target;
    if (!guarded(form) || form.hasAttribute('data-many')) return;
    if (event.defaultPrevented && !form.matches('[hx-post], [hx-boost] *')) return;
    lock(form);
  });

  document.addEventListener('htmx:afterRequest', (event) => {
    const form = event.target.closest?.('form');
    if (form) unlock(form);
  });

  // A page that comes back from the browser's memory was left in the middle of sending.
  window.addEventListener('pageshow', (event) => {
    if (event.persisted) for (const form of document.forms) unlock(form);
  });
}
