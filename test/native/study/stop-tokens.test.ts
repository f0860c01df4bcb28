// Stop tokens of a study: they end answers, and only what depends on them is computed again.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readManifest, readStudy, runStudy } from '../../../lib/study/index.js';
import { grpoAlone, models, newFolder, writeStudy } from './small-study.js';

const text = `study: stops
${grpoAlone}prompt-forms:
  - { name: thinking, thinking: true }
tasks:
  - { name: sums, limit: 4, pairs: ${models}/pairs-steps.jsonl }
attribution: { ig-steps: 1 }
selection: { rule: top-n, n: 60 }
ablations:
  - { name: solving, heads: "1.1", controls: 1, benchmarks: [chains] }
benchmarks:
  - { name: chains, file: demo, limit: 5 }
  - { name: few, file: demo, limit: 3, sampling: { max-new-tokens: 12 } }
sampling: { max-new-tokens: 40 }
statistics: { resamples: 20, null-repeats: 5 }
`;

const out = await newFolder();

async function run(study: string): Promise<string[]> {
  const { computed } = await runStudy(await readStudy(await writeStudy(study)), { out });
  return computed.map(({ kind, id }) => `${kind} ${id}`).sort();
}

interface Sample {
  readonly tokens: number[];
  readonly finish: string;
}

/** The lines of a benchmark's samples, as the last run knows them. */
async function samplesOf(id: string): Promise<Sample[]> {
  const { stages } = await readManifest(out);
  const { key } = stages.find((stage) => stage.kind === 'samples' && stage.id === id)!;
  const journal = join(out, 'results', 'samples', `${id}@${key}`, 'samples.jsonl');
  const lines = (await readFile(journal, 'utf8')).trim().split('\n').slice(1);
  return lines.map((line) => JSON.parse(line).value as Sample);
}

it('end an answer where the model writes them, and decide samples alone', async () => {
  const all = await run(text);
  const id = 'chains.base.thinking';
  const whole = await samplesOf(id);
  // One that stands in the middle of an answer, and is not its last.
  const stop = whole[0].tokens[Math.floor(whole[0].tokens.length / 2)];
  const again = await run(text.replace('40 }', `40, stop-tokens: [${stop}] }`));
  expect(again).toEqual(all.filter((name) => /^(samples|benchmark)/.test(name)));
  const stopped = await samplesOf(id);
  for (const [index, { tokens, finish }] of whole.entries()) {
    const place = tokens.indexOf(stop);
    expect(stopped[index].tokens).toEqual(place < 0 ? tokens : tokens.slice(0, place + 1));
    expect(stopped[index].finish).toBe(place < 0 ? finish : 'stop-token');
  }
  expect(stopped[0].tokens.length).toBeLessThan(whole[0].tokens.length);
}, 60_000);

it('of one benchmark leave the others as they are', async () => {
  await run(text);
  const changed = text.replace('max-new-tokens: 12', 'max-new-tokens: 12, stop-tokens: [5]');
  const again = await run(changed);
  expect(again.length).toBeGreaterThan(0);
  expect(again.every((name) => /^(samples|benchmark) few\./.test(name))).toBe(true);
}, 60_000);
