// The journal that a run left which tables were made of, from the tables: they hold the values of every
// variant, so that other statistics, or more variants, run none of these again.

import { writeJournal } from '../journal.js';
import { journalSettings } from './ablate.js';
import { keyOfNames, toRecord } from './run.js';
import type { AblationTable } from './types.js';

/** Writes the variants of tables of one model, one set of pairs and one kind of ablation. */
export async function journalOfTables(
  path: string,
  tables: readonly AblationTable[],
): Promise<void> {
  const records = new Map<string, unknown>();
  for (const { baseline, variants, controls } of tables) {
    for (const { heads, factor, values, correct } of [baseline, ...variants, ...controls]) {
      const results = { values: Float32Array.from(values), correct: Uint8Array.from(correct) };
      records.set(keyOfNames(heads.join(), factor), toRecord(results));
    }
  }
  await writeJournal(path, journalSettings(tables[0].settings), records);
}
