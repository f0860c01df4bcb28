// The page of a run that is still going: a line that says how far it is, and a script that takes up
// a newer page from the same file without losing the reader's place. It needs no network: the page
// opens its own file in a hidden frame, which says how new it is and stops.

import { escapeXml } from './svg.js';

/** What a page says of a run that it follows. */
export interface LiveState {
  /** Stages with a result, and all of them. */
  readonly done: number;
  readonly total: number;
  /** Sentences: what is running, and as of when. */
  readonly lines: readonly string[];
}

/** In every page: answers a page that asks from a frame around it. */
export function probeScript(stamp: string, live: LiveState | undefined): string {
  const answer = JSON.stringify({ stamp, live: live ?? null }).replaceAll('<', '\\u003c');
  return (
    `<script>if (parent !== self && location.search.startsWith('?probe=')) ` +
    `{ parent.postMessage({ headsparkReport: ${answer} }, '*'); stop(); }</script>`
  );
}

export function liveHtml({ done, total, lines }: LiveState): string {
  return `<aside id="live" class="notice" aria-label="Progress of the run">
<p><strong>This page follows the run.</strong> <span id="live-count">${done} of ${total}</span> stages have results.
<progress id="live-share" max="${total}" value="${done}" aria-label="Stages with results"></progress>
<button type="button" id="live-pause" aria-pressed="false">Pause updates</button></p>
<p id="live-lines" class="faint">${lines.map(escapeXml).join('<br>')}</p>
</aside>`;
}

/** The reader's place, kept over a reload in the history's state. */
const placeScript = `
  const pause = document.getElementById('live-pause');
  const paused = () => pause.getAttribute('aria-pressed') === 'true';
  const setPaused = (value) => {
    pause.setAttribute('aria-pressed', String(value));
    pause.textContent = value ? 'Updates are paused' : 'Pause updates';
  };
  pause.addEventListener('click', () => setPaused(!paused()));

  // The reader's place: what is at the top of the window, what is open, sorted, filtered, focused.
  const focusable = 'a, button, input, summary, [tabindex]';
  const holder = (element) => element.closest('[id]:not(' + focusable + ')') || document.body;
  const inside = (id) => (id === '' ? document.body : document.getElementById(id));
  const place = () => {
    const top = document.querySelector('nav').getBoundingClientRect().bottom;
    const anchors = [...document.querySelectorAll('figure[id], section[id] > h2[id]')];
    const anchor = anchors.find((one) => one.getBoundingClientRect().bottom > top);
    const focused = document.activeElement;
    const at = focused === document.body ? null : holder(focused);
    return {
      y: scrollY,
      anchor: anchor && scrollY > 0 ? [anchor.id, anchor.getBoundingClientRect().top] : null,
      open: [...document.querySelectorAll('figure[id] details[open]')].map((one) => one.closest('figure').id),
      filters: [...document.querySelectorAll('input[data-filter]')].filter((one) => one.value).map((one) => [one.id, one.value]),
      sorts: [...document.querySelectorAll('th[aria-sort$=ending]')].map((one) => [one.closest('table').id, one.cellIndex, one.getAttribute('aria-sort')]),
      boxes: [...document.querySelectorAll('figure[id] .scroll, figure[id] .picture')]
        .filter((one) => one.scrollTop || one.scrollLeft)
        .map((one) => [one.closest('figure').id, one.className, one.scrollTop, one.scrollLeft]),
      focus: at ? [at.id, [...at.querySelectorAll(focusable)].indexOf(focused)] : null,
      theme: document.documentElement.dataset.theme || null,
      paused: paused(),
    };
  };
  const restore = (old) => {
    setPaused(old.paused);
    if (old.theme) document.documentElement.dataset.theme = old.theme;
    for (const id of old.open) {
      const details = document.querySelector('#' + CSS.escape(id) + ' details');
      if (details) details.open = true;
    }
    for (const [id, value] of old.filters) {
      const input = document.getElementById(id);
      if (!input) continue;
      input.value = value;
      input.dispatchEvent(new Event('input'));
    }
    for (const [id, index, order] of old.sorts) {
      const head = document.getElementById(id)?.tHead.rows[0].cells[index];
      for (let click = 0; head && click < 2 && head.getAttribute('aria-sort') !== order; click++) head.querySelector('button').click();
    }
    for (const [id, name, top, left] of old.boxes) {
      const box = document.querySelector('#' + CSS.escape(id) + ' .' + CSS.escape(name));
      if (box) box.scrollTo(left, top);
    }
    if (old.focus) {
      const target = inside(old.focus[0])?.querySelectorAll(focusable)[old.focus[1]];
      if (target) target.focus({ preventScroll: true });
    }
    const anchor = old.anchor && document.getElementById(old.anchor[0]);
    const y = anchor ? scrollY + anchor.getBoundingClientRect().top - old.anchor[1] : old.y;
    scrollTo({ top: y, behavior: 'instant' });
  };
  const old = history.state && history.state.headsparkPlace;
  if (old) {
    restore(old);
    history.replaceState(null, '');
    history.scrollRestoration = 'auto';
  }
  const renew = () => {
    history.scrollRestoration = 'manual';
    history.replaceState({ headsparkPlace: place() }, '');
    location.reload();
  };
`;

/** Of pages of going runs, after the page's own script. */
export function liveScript(stamp: string, probeMs: number): string {
  return `
'use strict';
(() => {
  const stamp = ${JSON.stringify(stamp)};
  ${placeScript}
  // Nobody is disturbed while typing, selecting or holding a button.
  let [typed, held] = [-Infinity, false];
  addEventListener('input', () => { typed = performance.now(); }, true);
  addEventListener('pointerdown', () => { held = true; }, true);
  addEventListener('pointerup', () => { held = false; }, true);
  addEventListener('pointercancel', () => { held = false; }, true);
  const busy = () => held || performance.now() - typed < 4000 || !getSelection().isCollapsed;

  let [frame, silent] = [null, 0];
  addEventListener('message', (event) => {
    const answer = event.data && event.data.headsparkReport;
    if (!frame || event.source !== frame.contentWindow || !answer) return;
    frame.remove();
    [frame, silent] = [null, 0];
    if (paused()) return;
    const { live } = answer;
    if (answer.stamp !== stamp || !live) {
      if (!busy()) renew();
      return;
    }
    document.getElementById('live-lines').innerText = live.lines.join('\\n');
    document.getElementById('live-count').textContent = live.done + ' of ' + live.total;
    document.getElementById('live-share').value = live.done;
  });
  setInterval(() => {
    if (paused() || document.hidden) return;
    if (frame) {
      frame.remove();
      frame = null;
      // Where a browser does not show a file in a frame, the page is simply loaded again.
      if (++silent >= 5 && !busy()) renew();
      return;
    }
    frame = document.createElement('iframe');
    frame.hidden = true;
    frame.title = 'newer page';
    frame.setAttribute('sandbox', 'allow-scripts');
    frame.src = location.href.replace(/[?#].*/, '') + '?probe=' + Date.now();
    document.body.append(frame);
  }, ${probeMs});
})();
`;
}
