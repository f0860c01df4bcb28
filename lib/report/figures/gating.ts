// What captions and tables of gated heads say of how the heads were gated, and the remarks of their
// tables, each with the checkpoints that it is of.

import type { AblationKind } from '../../ablation-kinds.js';
import { withFactor } from '../../head-gate.js';
import type { Column } from '../data-table.js';
import { namedFactors } from './change-plot.js';

/** What a closed gate puts in a head's place; on benchmarks from runs of other problems. */
const replacements: Readonly<
  Record<Exclude<AblationKind, 'zero'>, readonly [pairs: string, problems: string]>
> = {
  mean: ['its mean over the pairs’ clean prompts', 'its mean over runs of the unablated model'],
  'mean-per-position': [
    'its mean at that position over the pairs’ clean prompts',
    'its mean at that position over runs of the unablated model',
  ],
  resample: [
    'its value in the pair’s corrupted prompt',
    'its value in a run of the unablated model on another problem',
  ],
};

/** How heads were gated, as a sentence. */
export function gatingText(
  ablation: AblationKind,
  factors: readonly number[],
  on: 'pairs' | 'problems',
): string {
  const isScaled = factors.some((factor) => factor !== 0);
  if (ablation === 'zero') {
    return `A gated head’s output is zero${isScaled ? '; at a factor s it is s times its own' : ''}.`;
  }
  const own = replacements[ablation][on === 'pairs' ? 0 : 1];
  const scaled = isScaled ? '; at a factor s it is s times its own and 1 − s times that' : '';
  return `A gated head’s output is ${own} (${ablation})${scaled}.`;
}

/** Columns of files that say how rows were made. */
export const gatingColumns = (sizes: readonly string[]): Column[] => [
  { key: 'ablation', title: 'ablation', kind: 'text', fileOnly: true },
  ...[...sizes, 'confidence'].map((key): Column => ({
    key,
    title: key,
    kind: 'number',
    fileOnly: true,
  })),
];

interface Remarked {
  readonly checkpoint: string;
  readonly factor: number;
  readonly remarks: readonly string[];
}

/** Names the tables of some of `all`: a checkpoint alone stands for all of its factors. */
function namesOf(some: readonly Remarked[], all: readonly Remarked[]): string {
  const factors = namedFactors(all);
  const checkpoints = [...new Set(some.map(({ checkpoint }) => checkpoint))];
  return checkpoints
    .flatMap((name) => {
      const own = some.filter(({ checkpoint }) => checkpoint === name);
      const tables = all.filter(({ checkpoint }) => checkpoint === name);
      if (own.length === tables.length) return [name];
      return own.map(({ factor }) => withFactor(name, factor, factors));
    })
    .join(', ');
}

/** The remarks on all rows of each checkpoint, whatever their factors. */
export function remarksByCheckpoint<Row extends { readonly checkpoint: string }>(
  rows: readonly Row[],
  remarksOn: (own: readonly Row[]) => readonly string[],
): Remarked[] {
  const checkpoints = [...new Set(rows.map(({ checkpoint }) => checkpoint))];
  return checkpoints.map((checkpoint) => {
    const own = rows.filter((row) => row.checkpoint === checkpoint);
    return { checkpoint, factor: 0, remarks: remarksOn(own) };
  });
}

/** Every remark once, behind the names of its tables where it is not of all that have any heads. */
export function remarksOf(tables: readonly Remarked[]): string[] {
  const texts = [...new Set(tables.flatMap(({ remarks }) => remarks))];
  return texts.map((text) => {
    const some = tables.filter(({ remarks }) => remarks.includes(text));
    return some.length === tables.length ? text : `${namesOf(some, tables)}: ${text}`;
  });
}

/** The checkpoints without heads to gate, as a remark. */
export function headlessRemarks(
  files: readonly { checkpoint: string; factor: number; table: object | null }[],
): string[] {
  const without = files.filter(({ table }) => table === null).map(({ checkpoint }) => checkpoint);
  const names = [...new Set(without)];
  if (names.length === 0) return [];
  return [`no such heads to gate: ${names.join(', ')}`];
}
