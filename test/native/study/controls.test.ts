// The random sets of ablation plans in studies: matched in layers or in write norms, on pairs and
// while benchmarks are answered, and the problems that replacements come from.
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { readJsonIfExists } from '../../../lib/json-file.js';
import type { EvaluationTable } from '../../../lib/evaluation/types.js';
import type { AblationTable } from '../../../lib/ablation/types.js';
import { readManifest, readStudy, runStudy } from '../../../lib/study/index.js';
import { grpoAlone, models, newFolder, writeStudy } from './small-study.js';

const text = `study: controls
${grpoAlone}prompt-forms:
  - { name: thinking, thinking: true }
tasks:
  - { name: sums, limit: 12, pairs: ${models}/pairs-steps.jsonl }
attribution: { metric: prob-diff, ig-steps: 2 }
selection: { rule: threshold, tau: 0.1 }
ablations:
  - { name: layers, heads: "1.1,3.2;2.*", controls: 4 }
  - { name: norms, heads: "1.1,3.2;2.*", controls: 4, match: write-norm }
  - { name: solving, heads: "1.1", controls: 3, match: write-norm, ablation: mean, references: 4, benchmarks: [chains] }
benchmarks:
  - { name: chains, file: demo, limit: 6, checkpoints: none }
sampling: { max-new-tokens: 24 }
`;

let out: string;

async function run(study: string) {
  const options = { out, only: ['ablation', 'benchmark-ablation'] };
  return (await runStudy(await readStudy(await writeStudy(study)), options)).computed;
}

async function tableOf<T>(kind: string, name: string): Promise<T> {
  const { stages } = await readManifest(out);
  const { id, key } = stages.find((one) => one.kind === kind && one.id.startsWith(`${name}.`))!;
  const file = await readJsonIfExists(join(out, 'results', kind, `${id}@${key}`, `${kind}.json`));
  return file!['table'] as T;
}

const layersOf = (heads: readonly string[]): string =>
  heads
    .map((name) => name.split('.')[0])
    .sort()
    .join();

beforeAll(async () => {
  out = await newFolder();
  await run(text);
}, 120_000);

it('are matched as the plan says', async () => {
  const layers = await tableOf<AblationTable>('ablation', 'layers');
  const norms = await tableOf<AblationTable>('ablation', 'norms');
  expect([layers.settings.match, norms.settings.match]).toEqual(['layer', 'write-norm']);
  const [set] = layers.variants;
  const own = ({ controls }: AblationTable) => controls.filter(({ of }) => of === set.name);
  expect(own(layers)).toHaveLength(4);
  for (const { heads } of own(layers)) expect(layersOf(heads)).toBe(layersOf(set.heads));
  expect(own(norms)).toHaveLength(4);
  for (const { heads } of own(norms)) expect(heads).toHaveLength(set.heads.length);
  expect(own(norms).some(({ heads }) => layersOf(heads) !== layersOf(set.heads))).toBe(true);
  // What is ablated is the same in both.
  expect(norms.variants.map(({ values }) => values)).toEqual(
    layers.variants.map(({ values }) => values),
  );
});

it('and references reach the answers to benchmarks', async () => {
  const { settings, controls } = await tableOf<EvaluationTable>('benchmark-ablation', 'solving');
  expect(settings).toMatchObject({ match: 'write-norm', ablation: 'mean' });
  expect(settings.references).toHaveLength(4);
  expect(controls).toHaveLength(3);
  const kinds = (await run(text.replace('references: 4', 'references: 5'))).map(({ kind }) => kind);
  expect(kinds).toEqual(['samples', 'benchmark-ablation']);
  const again = await tableOf<EvaluationTable>('benchmark-ablation', 'solving');
  expect(again.settings.references).toHaveLength(5);
});
