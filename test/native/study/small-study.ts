// A study over a part of the embedded series that runs in a few seconds, for tests that run it
// often; and what its files look like on the disk.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { readStudy, runStudy, type RunStudyOptions } from '../../../lib/study/index.js';
import { packageRoot } from '../../../lib/version.js';

export const models = join(packageRoot, 'lib', 'demo', 'models');

/** The base and one series of one checkpoint, as a study begins. */
export const grpoAlone = `base: { model: ${models}/base }
series:
  - label: GRPO
    regime: grpo
    checkpoints:
      - { name: post, step: 120, model: ${models}/grpo-step120 }
`;

/**
 * Two series, two prompt forms, ablations and a scaling plan on 12 pairs, what the heads do; six problems answered
 * by every checkpoint, and by the last ones under ablation.
 */
export const smallStudy = `study: small
seed: 3
base: { model: ${models}/base }
series:
  - label: SFT
    regime: sft
    logs:
      - { name: accuracy, file: ${models}/log.json, at: checkpoints, where: { regime: sft }, value: thinkingOn.accuracy }
    checkpoints:
      - { name: sft-step10, step: 10, model: ${models}/sft-step10 }
      - { name: sft-step25, step: 25, model: ${models}/sft-step25 }
      - { name: sft-step120, step: 120, model: ${models}/sft-step120 }
  - label: GRPO
    regime: grpo
    corrupted-reward-of: SFT
    checkpoints:
      - { name: grpo-step120, step: 120, model: ${models}/grpo-step120 }
prompt-forms:
  - { name: direct, thinking: false }
  - { name: thinking, thinking: true }
tasks:
  - name: sums
    limit: 12
    pairs: { direct: ${models}/pairs-direct.jsonl, thinking: ${models}/pairs-steps.jsonl }
attribution: { metric: prob-diff, ig-steps: 3 }
selection: { rule: threshold, tau: 0.1 }
ablations:
  - { name: emergent, group: emergent, top-k: 2, controls: 4, parts: 2, prompt-forms: [thinking] }
  - { name: named, heads: "0.0,1.1;2.*", controls: 3, match: write-norm, factors: [0.5, 1.3], prompt-forms: [direct] }
  - { name: solving, group: emergent, top-k: 1, controls: 2, benchmarks: [chains], prompt-forms: [thinking] }
  - { name: singles, single: true, prompt-forms: [thinking] }
heads:
  - { name: all heads, effects: singles, maps: 2, prompt-forms: [thinking] }
benchmarks:
  - { name: chains, file: demo, limit: 6, parts: 2 }
sampling: { samples: 3, temperature: 0.8, max-new-tokens: 40, k: [1, 3] }
statistics: { resamples: 60, null-repeats: 20, permutations: 200 }
`;

export function newFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'headspark-study-'));
}

/** Writes a study file of its own folder. */
export async function writeStudy(text: string, folder?: string): Promise<string> {
  const path = join(folder ?? (await newFolder()), 'study.yaml');
  await writeFile(path, text);
  return path;
}

// What the program that kills studies compares too.
const runFiles = join(packageRoot, 'scripts', 'checks', 'study', 'run-files.mjs');
const { digestOfRun } = await import(pathToFileURL(runFiles).href);

/** Name and SHA-256 of every file of a run's results, and of its manifest and study file. */
export const digest = (run: string): Promise<Record<string, string>> => digestOfRun(run);

/** Runs a study, in a folder of its own unless `out` is given, and counts what was computed by kind. */
export async function run(text: string, options: Partial<RunStudyOptions> = {}) {
  const out = options.out ?? join(await newFolder(), 'run');
  const summary = await runStudy(await readStudy(await writeStudy(text)), { ...options, out });
  const counts: Record<string, number> = {};
  for (const { kind } of summary.computed) counts[kind] = (counts[kind] ?? 0) + 1;
  return { ...summary, counts };
}
