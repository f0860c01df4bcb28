// The browser of flipped answers: every flip folds out into two texts side by side, with what they
// have in common faint and the rest marked. It works without the script; the script filters.

import { escapeXml } from './svg.js';

interface Side {
  readonly answer: string | null;
  readonly text: string;
}

/** One flip with what a reader needs to judge it. */
export interface FlipEntry {
  readonly plan: string;
  /** `grpo-step120 · top 2`. */
  readonly set: string;
  readonly heads: string;
  readonly problem: string;
  readonly question: string;
  readonly right: string;
  /** As in the files of samples, from 0. */
  readonly sample: number;
  readonly direction: 'right-to-wrong' | 'wrong-to-right';
  readonly before: Side;
  readonly after: Side;
}

/** Longer texts lose their middle, since answers stand at the end. */
const keptQuestion = 600;

function shortened(text: string, kept: number): string {
  if (text.length <= kept) return text;
  const half = Math.floor(kept / 2);
  const left = text.length - 2 * half;
  return `${text.slice(0, half)}\n[… ${left.toLocaleString('en-US')} characters left out …]\n${text.slice(-half)}`;
}

/** Characters that two texts begin with, up to a place between words. */
function commonStart(a: string, b: string): number {
  let end = 0;
  while (end < a.length && end < b.length && a[end] === b[end]) end++;
  if (end === a.length && end === b.length) return end;
  while (end > 0 && /[\p{L}\p{N}]/u.test(a[end - 1] ?? '') && !/\s/.test(a[end - 1])) end--;
  return end;
}

function sideHtml(title: string, { answer, text }: Side, common: number): string {
  const given = answer === null ? 'no answer' : `answer ${answer}`;
  const [same, own] = [text.slice(0, common), text.slice(common)];
  return (
    `<div><h4>${escapeXml(`${title}: ${given}`)}</h4><pre>` +
    (same === '' ? '' : `<span class="faint">${escapeXml(same)}</span>`) +
    (own === '' ? '' : `<mark>${escapeXml(own)}</mark>`) +
    '</pre></div>'
  );
}

const words = {
  'right-to-wrong': 'right → wrong',
  'wrong-to-right': 'wrong → right',
} as const;

/** One flip, folded; `kept` characters of each text. */
export function flipHtml(entry: FlipEntry, kept: number): string {
  const { direction, set, plan, heads, problem, sample, before, after } = entry;
  const [one, two] = [before, after].map(({ text }) => shortened(text, kept));
  const common = commonStart(one, two);
  const answers = [before, after].map(({ answer }) => (answer ?? 'none').slice(0, 40)).join(' → ');
  return (
    `<details class="flip ${direction}" data-direction="${direction}" data-set="${escapeXml(set)}" ` +
    `data-plan="${escapeXml(plan)}"><summary><b class="way">${words[direction]}</b> ` +
    `<span>${escapeXml(`problem ${problem}, sample ${sample}`)}</span> ` +
    `<span>${escapeXml(answers)}</span> <span class="faint">${escapeXml(`${set} (${heads})`)}</span></summary>` +
    `<p class="question">${escapeXml(shortened(entry.question, keptQuestion))}</p>` +
    `<p>Right answer: <b>${escapeXml(entry.right)}</b></p><div class="sides">` +
    sideHtml('Unablated', { ...before, text: one }, common) +
    sideHtml('With heads gated', { ...after, text: two }, common) +
    '</div></details>'
  );
}

function selectHtml(id: string, label: string, choices: readonly (readonly [string, string])[]) {
  const options = choices
    .map(([value, text]) => `<option value="${escapeXml(value)}">${escapeXml(text)}</option>`)
    .join('');
  return `<label for="${id}">${label}</label><select id="${id}"><option value="">all</option>${options}</select>`;
}

const unique = (values: readonly string[]): (readonly [string, string])[] =>
  [...new Set(values)].map((value) => [value, value]);

/** `1 flip`, `12 flips` */
export const flipCount = (count: number): string => `${count} flip${count === 1 ? '' : 's'}`;

/** The list of flips with its filters. */
export function flipBrowser(id: string, entries: readonly FlipEntry[], kept: number): string {
  const plans = unique(entries.map(({ plan }) => plan));
  const directions = [...new Set(entries.map(({ direction }) => direction))];
  return (
    `<div class="flips" data-flips="${id}"><div class="tools">` +
    `<label for="${id}-filter">Filter</label>` +
    `<input id="${id}-filter" type="search" autocomplete="off">` +
    selectHtml(
      `${id}-direction`,
      'Flip',
      directions.map((direction) => [direction, words[direction]]),
    ) +
    (plans.length > 1 ? selectHtml(`${id}-plan`, 'Plan', plans) : '') +
    selectHtml(`${id}-set`, 'Heads', unique(entries.map(({ set }) => set))) +
    `<span id="${id}-count" class="faint" role="status">${flipCount(entries.length)}</span></div>` +
    '<p class="faint keys">Tab and Enter open an answer; the arrow keys go to the next and the one before.</p>' +
    `<div class="flip-list">${entries.map((entry) => flipHtml(entry, kept)).join('\n')}</div></div>`
  );
}

/** Filters and arrow keys; part of the page's script. */
export const flipScript = `
  for (const browser of document.querySelectorAll('[data-flips]')) {
    const id = browser.dataset.flips;
    const of = (name) => document.getElementById(id + '-' + name);
    const flips = [...browser.querySelectorAll('details')];
    const texts = new Map(flips.map((flip) => [flip, flip.textContent.toLowerCase()]));
    const update = () => {
      const words = of('filter').value.toLowerCase().split(/\\s+/).filter(Boolean);
      let shown = 0;
      for (const flip of flips) {
        flip.hidden = !words.every((word) => texts.get(flip).includes(word)) ||
          ['direction', 'plan', 'set'].some((name) => {
            const select = of(name);
            return select && select.value !== '' && select.value !== flip.dataset[name];
          });
        if (!flip.hidden) shown++;
      }
      of('count').textContent = shown + ' of ' + flips.length + (flips.length === 1 ? ' flip' : ' flips');
    };
    browser.addEventListener('input', update);
    browser.addEventListener('keydown', (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || event.target.tagName !== 'SUMMARY') return;
      const visible = flips.filter((flip) => !flip.hidden);
      const next = visible[visible.indexOf(event.target.parentNode) + step];
      if (!next) return;
      event.preventDefault();
      next.querySelector('summary').focus();
    });
  }
`;
