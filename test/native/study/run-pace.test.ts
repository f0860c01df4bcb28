// A run's own rates: measured where that is a small part of the run, kept beside it, used again.
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readFacts } from '../../../lib/study/facts.js';
import { buildGraph } from '../../../lib/study/graph.js';
import { planStudy, readStudy, runStudy, studyStatus, type RunProgress, type StudyPlan } from '../../../lib/study/index.js';
import { keepRates, readKeptRates } from '../../../lib/study/kept-rates.js';
import { isWorthMeasuring } from '../../../lib/study/work-weight.js';
import { digest, grpoAlone, models, newFolder, smallStudy, writeStudy } from './small-study.js';

/** Many random sets: far more to run than to measure. */
const text = `study: many sets
${grpoAlone}prompt-forms:
  - { name: thinking, thinking: true }
tasks:
  - { name: sums, limit: 8, pairs: ${models}/pairs-steps.jsonl }
attribution: { ig-steps: 1 }
selection: { rule: top-n, n: 60 }
ablations:
  - { name: many, heads: "0.0,1.1,2.0,3.1;0.1,1.0,2.2,3.0", controls: 900 }
statistics: { resamples: 50, null-repeats: 10 }
`;

/** Rates are of a number of threads; one suffers least from what else runs. */
const threads = 1;

/** Runs the study and gives what was said on the way. */
async function run(out: string, measureRates: boolean): Promise<RunProgress[]> {
  const said: RunProgress[] = [];
  const study = await readStudy(await writeStudy(text));
  const onProgress = (progress: RunProgress) => said.push(progress);
  await runStudy(study, { out, threads, measureRates, onProgress });
  return said;
}

/** What status says of a kind whose results are gone. */
async function leftOf(out: string, kind: string): Promise<number | null> {
  await rm(join(out, 'results', kind), { recursive: true });
  const study = await readStudy(await writeStudy(text));
  const { kinds } = await studyStatus(study, { out, threads });
  return kinds.find((one) => one.kind === kind)!.secondsLeft;
}

const measured = (said: readonly RunProgress[]): boolean =>
  said.some(({ detail }) => detail.startsWith('measuring rates (1 of '));

it('measures once, and says the time left from the first stage on', async () => {
  const out = await newFolder();
  const first = await run(out, true);
  expect(measured(first)).toBe(true);
  const stages = first.filter(({ detail }) => !detail.startsWith('measuring'));
  expect(stages.every(({ secondsLeft }) => secondsLeft !== undefined)).toBe(true);
  expect(stages.at(-1)!.secondsLeft).toBeCloseTo(0, 6);
  const shares = stages.map(({ done, total }) => done / total);
  expect(shares).toEqual([...shares].sort((a, b) => a - b));
  expect(shares.at(-1)).toBeCloseTo(1, 9);

  const rates = await readFile(join(out, 'rates.json'), 'utf8');
  const kept = await digest(out);
  await rm(join(out, 'results'), { recursive: true });
  const again = await run(out, true);
  expect(measured(again)).toBe(false);
  expect(again[0].secondsLeft).toBeDefined();
  expect(await readFile(join(out, 'rates.json'), 'utf8')).toBe(rates);
  expect(await digest(out)).toEqual(kept);
  // Of a kind that did not run yet there is a word, too.
  expect(await leftOf(out, 'ablation')).toBeGreaterThan(0);
}, 120_000);

it.each([
  ['of other settings', (kept: string) => kept.replace(/("validFor": ")./, '$1x')],
  ['that are torn', (kept: string) => kept.slice(0, 200)],
  ['that are no numbers', (kept: string) => kept.replace(/("sweep": )[\d.e-]+/, '$1"fast"')],
])('does not use rates %s', async (_, damage) => {
  const study = await readStudy(await writeStudy(text));
  const facts = await readFacts(study);
  const { nodes } = buildGraph(study, facts);
  const out = await newFolder();
  const of = { study, facts, pool: { threads } };
  const each = { openings: 0, attribution: 1, circuits: 1, sweep: 1, resampling: 1 };
  const rates = new Map([...facts.pairs.keys()].map((key) => [key, each]));
  const some = { rates, draw: 1, generation: new Map(), idleBytes: 1, peakBytes: 2 };
  await keepRates(out, some, of);
  expect(await readKeptRates(out, { ...of, nodes })).toEqual(some);
  const others = { ...of, pool: { threads: 2 }, nodes };
  expect(await readKeptRates(out, others)).toBeUndefined();

  const path = join(out, 'rates.json');
  const kept = await readFile(path, 'utf8');
  expect(damage(kept)).not.toBe(kept);
  await writeFile(path, damage(kept));
  expect(await readKeptRates(out, { ...of, nodes })).toBeUndefined();
});

it('says where rates cannot be kept', async () => {
  const study = await readStudy(await writeStudy(text));
  const facts = await readFacts(study);
  const none = { rates: new Map(), draw: 1, generation: new Map(), idleBytes: 1, peakBytes: 2 };
  const { path } = study.source;
  const kept = keepRates(join(path, 'run'), none, { study, facts, pool: { threads } });
  await expect(kept).rejects.toMatchObject({
    code: 'ERR_HEADSPARK_FILE_WRITE',
    message: `${path} is a file; name a folder.`,
  });
});

it('measures nothing where nobody asks for it', async () => {
  const out = await newFolder();
  const said = await run(out, false);
  expect(measured(said)).toBe(false);
  await expect(readFile(join(out, 'rates.json'))).rejects.toThrow('ENOENT');
  // Nominal weights say nothing of this machine, so the first stage must be over before.
  expect(said[0].secondsLeft).toBeUndefined();
  expect(said.at(-1)!.secondsLeft).toBeCloseTo(0, 6);
  expect(await leftOf(out, 'ablation')).toBeNull();
}, 120_000);

it('is not worth it for a study of some seconds', async () => {
  const study = await readStudy(await writeStudy(smallStudy));
  const facts = await readFacts(study);
  const { nodes } = buildGraph(study, facts);
  expect(isWorthMeasuring(nodes, { study, facts })).toBe(false);
});

it('is measured once for several plans and the run after them', async () => {
  const out = await newFolder();
  const study = await readStudy(await writeStudy(text));
  const plan = async (): Promise<{ plan: StudyPlan; measured: number }> => {
    let count = 0;
    const onProgress = (): void => void count++;
    return { plan: await planStudy(study, { out, threads, onProgress }), measured: count };
  };
  const first = await plan();
  expect(first.measured).toBeGreaterThan(0);
  expect(first.plan.keptRates).toBeNull();
  const second = await plan();
  expect(second.measured).toBe(0);
  const keptRates = join(out, 'rates.json');
  expect(second.plan).toEqual({ ...first.plan, keptRates, nodes: second.plan.nodes });
  expect(second.plan.nodes.map(({ seconds }) => seconds)).toEqual(
    first.plan.nodes.map(({ seconds }) => seconds),
  );
  expect(measured(await run(out, true))).toBe(false);
}, 120_000);
