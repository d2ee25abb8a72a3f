// What of the data has become more than text, in the page that is open; `mark` is in every attack.
(mark) => {
  const found = [];
  const ours = (url) => /^(?:[/?#]|$)/.test(url) && !url.startsWith('//');
  const elements = new Set(['html', 'head', 'body', 'meta', 'title', 'link', 'script', 'noscript', 'div', 'span', 'p',
    'a', 'ul', 'ol', 'li', 'dl', 'dt', 'dd', 'h1', 'h2', 'h3', 'h4', 'h5', 'pre', 'code', 'table', 'caption', 'thead',
    'tbody', 'tfoot', 'tr', 'th', 'td', 'form', 'fieldset', 'legend', 'label', 'input', 'select', 'option', 'optgroup',
    'textarea', 'button', 'details', 'summary', 'section', 'header', 'footer', 'nav', 'main', 'aside', 'strong', 'em',
    'b', 'i', 'small', 'time', 'svg', 'g', 'path', 'rect', 'circle', 'line', 'polyline', 'polygon', 'text', 'tspan',
    'defs', 'marker', 'symbol', 'use', 'br', 'hr', 'output', 'progress', 'search', 'abbr', 'kbd', 'samp', 'mark',
    'bdi', 'datalist', 'del', 'ins', 'img', 'colgroup', 'col', 'template', 'article', 'figure', 'figcaption', 'tt', 'desc']);
  const runs = /^(?:on|hx-|data-hx-|style$|src|srcdoc$|formaction$|action$|href$|xlink:href$|ping$|live-url$|http-equiv$)/i;
  const links = new Set(['href', 'action', 'src', 'live-url', 'hx-get', 'xlink:href']);
  const walker = document.createTreeWalker(document, NodeFilter.SHOW_ALL);
  for (let node = walker.currentNode; node; node = walker.nextNode()) {
    if (node.nodeType === Node.COMMENT_NODE && node.data.includes(mark)) found.push(`comment ${node.data}`);
    if (node.nodeType !== Node.ELEMENT_NODE) continue;
    const name = node.localName;
    if (!elements.has(name)) found.push(`<${name}> ${node.outerHTML.slice(0, 200)}`);
    if (name === 'script' && !node.src && node.type !== 'application/json') found.push(`script ${node.text.slice(0, 100)}`);
    if (name === 'style' && node.textContent.includes(mark)) found.push('style');
    if (name === 'img' && node.outerHTML.includes(mark)) found.push(`img ${node.outerHTML.slice(0, 200)}`);
    for (const attribute of node.attributes) {
      const { name: called, value } = attribute;
      if (called.includes(mark)) found.push(`attribute ${called} of ${node.outerHTML.slice(0, 200)}`);
      if (/^on/i.test(called)) found.push(`handler ${called}=${value.slice(0, 100)} of <${name}>`);
      if (links.has(called)) {
        if (value.includes(mark) && !ours(value)) found.push(`leads away: ${called}=${value.slice(0, 100)}`);
        if (/^\s*(?:javascript|vbscript):/i.test(value)) found.push(`link ${value.slice(0, 100)}`);
      } else if (runs.test(called) && value.includes(mark)) found.push(`alive: ${called}=${value.slice(0, 200)}`);
    }
  }
  const text = document.body.innerText + document.title;
  const strange = text.match(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
  if (strange) found.push(`steers: U+${strange[0].charCodeAt(0).toString(16)} in ${JSON.stringify(text.slice(Math.max(0, strange.index - 60), strange.index + 20))}`);
  if (document.title.length > 600) found.push(`title ${document.title.slice(0, 100)}`);
  return found;
}
