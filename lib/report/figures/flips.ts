// Answers that flipped when heads were gated, for the browser of the page and as a table.

import type { Flip } from '../../failures/summary.js';
import type { BenchmarkAblationFile } from '../../study/stages/benchmark-ablation.js';
import type { Figure } from '../figure.js';
import { flipBrowser, flipCount, flipHtml, type FlipEntry } from '../flip-browser.js';
import type { RunData } from '../run-data.js';
import { plansOf, rowName } from './benchmark-ablations.js';

/** Flips of one set of heads in one direction: the browser shows some of every group. */
type Group = FlipEntry[];

function entryOf(
  flip: Flip,
  of: { file: BenchmarkAblationFile; plan: string; set: string; heads: string },
): FlipEntry {
  const { file, plan, set, heads } = of;
  const { text = '', answer = '' } = file.problems[flip.problem] ?? {};
  return {
    plan,
    set,
    heads,
    problem: flip.problem,
    question: text,
    right: answer,
    sample: flip.sample,
    direction: flip.direction,
    before: flip.before,
    after: flip.after,
  };
}

function groupsOf(data: RunData): { groups: Group[]; total: number } {
  const groups: Group[] = [];
  let total = 0;
  for (const { title: plan, files } of plansOf(data)) {
    for (const file of files) {
      for (const { name, heads, flips = [], flipCounts } of file.table?.rows ?? []) {
        const set = rowName(file, name, files);
        total += (flipCounts?.rightToWrong ?? 0) + (flipCounts?.wrongToRight ?? 0);
        const entries = flips.map((flip) =>
          entryOf(flip, { file, plan, set, heads: heads.join(' ') }),
        );
        for (const direction of ['right-to-wrong', 'wrong-to-right']) {
          const own = entries.filter((entry) => entry.direction === direction);
          if (own.length > 0) groups.push(own);
        }
      }
    }
  }
  return { groups, total };
}

/** Many flips with the ends of their texts say more than a few with all of them. */
const charactersOf = (budget: number): number =>
  Math.min(4_000, Math.max(1_000, Math.floor(budget / 250)));

/** One flip of every group, then a second of every group, as long as the budget lasts. */
function chosen(groups: readonly Group[], budget: number): FlipEntry[] {
  const kept = new Set<FlipEntry>();
  let left = budget;
  const most = Math.max(0, ...groups.map(({ length }) => length));
  for (let place = 0; place < most; place++) {
    for (const group of groups) {
      const entry = group.at(place);
      if (!entry) continue;
      left -= Buffer.byteLength(flipHtml(entry, charactersOf(budget)));
      if (left < 0) return inOrder(groups, kept);
      kept.add(entry);
    }
  }
  return inOrder(groups, kept);
}

const inOrder = (groups: readonly Group[], kept: ReadonlySet<FlipEntry>): FlipEntry[] =>
  groups.flat().filter((entry) => kept.has(entry));

function tableOf(entries: readonly FlipEntry[], withTexts: boolean): Figure['table'] {
  return {
    columns: [
      { key: 'plan', title: 'plan', kind: 'text' },
      { key: 'set', title: 'heads', kind: 'text' },
      { key: 'members', title: 'which', kind: 'text' },
      { key: 'problem', title: 'problem', kind: 'text' },
      { key: 'sample', title: 'sample', kind: 'number' },
      { key: 'direction', title: 'flip', kind: 'text' },
      { key: 'right_answer', title: 'right answer', kind: 'text' },
      { key: 'answer_before', title: 'unablated', kind: 'text' },
      { key: 'answer_after', title: 'gated', kind: 'text' },
      ...(withTexts
        ? ([
            { key: 'question', title: 'problem text', kind: 'text' },
            { key: 'text_before', title: 'text, unablated', kind: 'text' },
            { key: 'text_after', title: 'text, gated', kind: 'text' },
          ] as const)
        : []),
    ],
    rows: entries.map((entry) => ({
      plan: entry.plan,
      set: entry.set,
      members: entry.heads,
      problem: entry.problem,
      sample: entry.sample,
      direction: entry.direction.replaceAll('-', ' '),
      right_answer: entry.right,
      answer_before: entry.before.answer,
      answer_after: entry.after.answer,
      ...(withTexts
        ? {
            question: entry.question,
            text_before: entry.before.text,
            text_after: entry.after.text,
          }
        : {}),
    })),
  };
}

/** The browser of flipped answers, of at most so many bytes; none where nothing flipped. */
export function flipFigures(data: RunData, budget: number): Figure[] {
  const { groups, total } = groupsOf(data);
  const all = groups.flat();
  if (all.length === 0) return [];
  const entries = chosen(groups, budget);
  const counted =
    entries.length === total
      ? `${total > 1 ? 'All ' : ''}${flipCount(total)}.`
      : `${entries.length} of ${flipCount(total)}, some of every set and direction` +
        (all.length > entries.length ? `; the exported table has ${all.length}.` : '.');
  return [
    {
      id: 'flips',
      title: 'Answers that flipped',
      caption:
        'The unablated answer and the answer with heads gated to the same problem from the same ' +
        `random numbers; what differs is marked. ${counted}`,
      pageContent: flipBrowser('flips', entries, charactersOf(budget)),
      table: tableOf(all, true),
      paperTable: tableOf(all, false),
    },
  ];
}
