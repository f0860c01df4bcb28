// What `ablate` and `merge` do with the table of an ablation: what was done in words, and the files.

import { ablationCsv, type AblationSettings, type AblationTable } from '../ablation.js';
import { writeFileAtomic } from '../atomic-file.js';
import type { Arguments } from './arguments.js';
import type { Context } from './context.js';
import { fileOutput, type Output } from './outputs.js';

/** `zero ablation`, `heads times 0.5 (mean), prompt positions`. */
export function describeGates(
  settings: Pick<AblationSettings, 'ablation' | 'factors' | 'positions'>,
): string {
  const { ablation, factors, positions } = settings;
  const list = factors.join(', ');
  const what = list === '0' ? `${ablation} ablation` : `heads times ${list} (${ablation})`;
  return positions === 'all' ? what : `${what}, ${positions} positions`;
}

/** What `writeAblation` writes. */
export const ablationOutputs = (args: Arguments): Output[] => [
  fileOutput(args, 'out', ['.json']),
  fileOutput(args, 'csv', ['.csv']),
];

/** Writes --out and --csv. `resumes`: whether a journal keeps the variants. */
export async function writeAblation(
  table: AblationTable,
  args: Arguments,
  { context, resumes }: { context: Context; resumes: boolean },
): Promise<void> {
  const files = [
    { path: args.text('out'), text: () => `${JSON.stringify(table)}\n` },
    { path: args.text('csv'), text: () => ablationCsv(table) },
  ];
  for (const { path, text } of files) {
    if (path === undefined) continue;
    await writeFileAtomic(path, text(), { resumes });
    context.print(`\nWrote ${path}`);
  }
}
