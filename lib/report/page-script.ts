// The script of the report: hover texts, sorting and filtering tables, saving a figure, light and
// dark. It never fetches anything; without it the page is complete but does not move.

import { flipScript } from './flip-browser.js';
import { light, themeVariables } from './palette.js';

export const pageScript = `
'use strict';
(() => {
  const root = document.documentElement;
  const colours = ${JSON.stringify({ ...themeVariables(light), ink: light.ink, page: light.page })};

  // Hover and keyboard: a mark's title becomes a tip that also follows the focus.
  const tip = document.getElementById('tip');
  for (const title of document.querySelectorAll('svg title')) {
    const mark = title.parentNode;
    mark.setAttribute('data-tip', title.textContent);
    title.remove();
  }
  const show = (event) => {
    const mark = event.target.closest && event.target.closest('[data-tip]');
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.getAttribute('data-tip');
    const box = mark.getBoundingClientRect();
    const x = event.clientX === undefined ? box.left : event.clientX;
    const y = event.clientY === undefined ? box.bottom : event.clientY;
    tip.style.left = Math.max(4, Math.min(x + 12, innerWidth - tip.offsetWidth - 8)) + 'px';
    tip.style.top = Math.min(y + 14, innerHeight - tip.offsetHeight - 8) + 'px';
  };
  document.addEventListener('pointermove', show);
  document.addEventListener('scroll', () => { tip.hidden = true; }, true);
  document.addEventListener('keydown', (event) => { if (event.key === 'Escape') tip.hidden = true; });

  // Tables: a click on a title sorts, once more turns round; the field above filters rows.
  const valueOf = (row, index) => {
    const cell = row.cells[index];
    const raw = cell.getAttribute('data-value');
    return raw === null ? cell.textContent : raw === '' ? -Infinity : Number(raw);
  };
  for (const table of document.querySelectorAll('table.sortable')) {
    const body = table.tBodies[0];
    table.tHead.addEventListener('click', (event) => {
      const button = event.target.closest('button');
      if (!button) return;
      const head = button.parentNode;
      const falling = head.getAttribute('aria-sort') === 'ascending';
      for (const other of table.tHead.rows[0].cells) other.setAttribute('aria-sort', 'none');
      head.setAttribute('aria-sort', falling ? 'descending' : 'ascending');
      const rows = [...body.rows].map((row, place) => [valueOf(row, head.cellIndex), place, row]);
      rows.sort((a, b) => {
        const order = typeof a[0] === 'number' && typeof b[0] === 'number'
          ? a[0] - b[0]
          : String(a[0]).localeCompare(String(b[0]), 'en', { numeric: true });
        return (falling ? -order : order) || a[1] - b[1];
      });
      body.append(...rows.map((entry) => entry[2]));
    });
  }
  for (const input of document.querySelectorAll('input[data-filter]')) {
    const table = document.getElementById(input.dataset.filter);
    const count = document.getElementById(input.dataset.filter + '-count');
    const texts = new Map([...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase().replaceAll('−', '-')]));
    input.addEventListener('input', () => {
      const words = input.value.toLowerCase().replaceAll('−', '-').split(/\\s+/).filter(Boolean);
      let shown = 0;
      for (const [row, text] of texts) {
        row.hidden = !words.every((word) => text.includes(word));
        if (!row.hidden) shown++;
      }
      count.textContent = shown + ' of ' + texts.size + ' rows';
    });
  }

  // Flipped answers: filters and arrow keys.
${flipScript}
  // A figure as a file: the colours of the light page, whatever is shown.
  const save = (figure) => {
    const svg = figure.querySelector('.picture svg').cloneNode(true);
    svg.setAttribute('style', 'background:' + colours.page);
    for (const mark of svg.querySelectorAll('[data-tip]')) {
      const title = document.createElementNS('http://www.w3.org/2000/svg', 'title');
      title.textContent = mark.getAttribute('data-tip');
      mark.removeAttribute('data-tip');
      mark.prepend(title);
    }
    const text = new XMLSerializer().serializeToString(svg)
      .replace(/var\\((--[\\w-]+)\\)/g, (_, name) => colours[name])
      .replaceAll('currentColor', colours.ink);
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([text], { type: 'image/svg+xml' }));
    link.download = figure.id + '.svg';
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  document.addEventListener('click', (event) => {
    const button = event.target.closest('button[data-save]');
    if (button) save(document.getElementById(button.dataset.save));
  });

  const toggle = document.getElementById('theme');
  toggle.addEventListener('click', () => {
    const dark = root.dataset.theme ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    toggle.setAttribute('aria-pressed', String(!dark));
  });

  // On paper every table is open.
  addEventListener('beforeprint', () => {
    for (const details of document.querySelectorAll('details')) details.open = true;
  });
})();
`;
