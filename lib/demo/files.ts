// The demo's result files: the same formats that the commands write, and a summary that explains
// them and gives the commands to repeat each step.
import { join } from 'node:path';
import { ablationCsv } from '../ablation/csv.js';
import { writeFileAtomic } from '../atomic-file.js';
import { diffCsv } from '../diff-report.js';
import { writeScoreFile } from '../formats/score-file.js';
import type { DemoSeries } from './checkpoints.js';
import type { DemoResult } from './run-demo.js';
import { summaryText } from './summary.js';

type Results = Omit<DemoResult, 'files'>;
type FileList = (readonly [string, string])[];

async function writeCircuits({ out, circuits }: Results): Promise<FileList> {
  const files: FileList = [];
  for (const { checkpoint, table, circuit } of circuits) {
    const { label } = checkpoint;
    await writeScoreFile(join(out, `${label}.scores.json`), table);
    const { shape, scores, inGraph, nodesInGraph, meta } = circuit;
    const circuitAlone = { shape, scores, inGraph, nodesInGraph, meta };
    await writeScoreFile(join(out, `${label}.circuit.json`), circuitAlone);
    files.push(
      [`${label}.scores.json`, `scores of every edge of ${label} (EAP-IG, 5 steps)`],
      [`${label}.scores.json.pairs.npy`, 'the same for every pair: what intervals are made of'],
      [`${label}.circuit.json`, `the circuit of ${label}, in the reference's format`],
    );
  }
  return files;
}

async function writeDiff({ out, diff }: Results): Promise<FileList> {
  await writeFileAtomic(join(out, 'diff.json'), `${JSON.stringify(diff)}\n`);
  await writeFileAtomic(join(out, 'diff.csv'), diffCsv(diff));
  return [
    ['diff.json', 'every head: retained, emergent or vanished, importance, effect, evidence'],
    ['diff.csv', 'the same as a table'],
  ];
}

async function writeAblations({ out, ablations }: Results): Promise<FileList> {
  const files: FileList = [];
  for (const { checkpoint, table } of ablations) {
    if (!table) continue;
    const name = `${checkpoint.label}.ablation`;
    await writeFileAtomic(join(out, `${name}.json`), `${JSON.stringify(table)}\n`);
    await writeFileAtomic(join(out, `${name}.csv`), ablationCsv(table));
    files.push(
      [`${name}.json`, `emergent heads of ${checkpoint.label} ablated, controls, every pair`],
      [`${name}.csv`, 'the same as a table, without pairs'],
    );
  }
  return files;
}

/** Writes all files and gives their names with what they hold. */
export async function writeDemo(results: Results, series: DemoSeries): Promise<FileList> {
  const files: FileList = [
    ['summary.md', 'what was found, and the commands that repeat it'],
    ...(await writeCircuits(results)),
    ...(await writeDiff(results)),
    ...(await writeAblations(results)),
  ];
  await writeFileAtomic(join(results.out, 'summary.md'), summaryText(results, series, files));
  return files;
}
