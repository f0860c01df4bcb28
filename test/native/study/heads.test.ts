// The stage `heads`: groups, effects and correlations from the results of other stages, the choice of
// heads and of maps, and no heads at all.
import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readManifest, readStudy, runStudy } from '../../../lib/study/index.js';
import type { AblationStageFile } from '../../../lib/study/stages/ablation.js';
import type { HeadsStageFile } from '../../../lib/study/stages/heads.js';
import { readDiffReport } from '../../../lib/diff-report.js';
import { formatHead } from '../../../lib/head-gate.js';
import { grpoAlone, models, newFolder, writeStudy } from './small-study.js';

const study = `study: heads
${grpoAlone}tasks:
  - name: sums
    limit: 48
    pairs: ${models}/pairs-steps.jsonl
attribution: { metric: prob-diff, ig-steps: 3 }
selection: { rule: top-n, n: 40 }
ablations:
  - { name: halves, single: true, factors: [0.5, 0] }
heads:
  - { name: everything, maps: 3, map-pair: 2 }
  - { name: without maps, maps: 0 }
  - { name: emergent, which: emergent, maps: 9, queries: answer }
  - { name: circuit, which: circuit, maps: 0 }
  - { name: named, heads: "2.1,0.4", think-markers: ["assistant"] }
statistics: { resamples: 50, null-repeats: 2, permutations: 99 }
`;

let run: string;
async function resultOf<T>(kind: string, id: string, file: string): Promise<T> {
  const { stages } = await readManifest(run);
  const { key } = stages.find((stage) => stage.kind === kind && stage.id === id)!;
  const path = join(run, 'results', kind, `${id}@${key}`, file);
  return JSON.parse(await readFile(path, 'utf8')) as T;
}
const profileOf = async (name: string) =>
  (await resultOf<HeadsStageFile>('heads', `${name}.post.sums.plain`, 'heads.json')).profile!;

beforeAll(async () => {
  run = await newFolder();
  const summary = await runStudy(await readStudy(await writeStudy(study)), { out: run });
  expect(summary.complete).toBe(true);
});

describe('the stage heads', () => {
  it('knows groups from the diff and effects from the ablation of single heads', async () => {
    const { table, groups, effects, correlations } = await profileOf('everything');
    expect(table.heads).toHaveLength(24);
    expect(table.settings).toMatchObject({ model: 'post', prompts: 48, queries: 'all' });
    const { stages } = await readManifest(run);
    const { id, key } = stages.find(({ kind }) => kind === 'diff')!;
    const diff = await readDiffReport(join(run, 'results/diff', `${id}@${key}`, 'diff.json'));
    const members = diff.comparisons[0].heads.filter(({ status }) => status !== 'absent');
    expect(groups).toEqual(
      Object.fromEntries(members.map((head) => [formatHead(head), head.status])),
    );
    const ablation = await resultOf<AblationStageFile>(
      'ablation',
      'halves.post.sums.plain.x0',
      'ablation.json',
    );
    expect(effects!.settings).toEqual({ metric: 'prob-diff', ablation: 'zero' });
    for (const { heads, change } of ablation.table!.variants) {
      expect(effects!.heads[heads[0]]).toBe(-change.estimate);
    }
    expect(correlations!.find(({ property }) => property === 'layer')!.points).toBe(24);
  });

  it('draws the strongest emergent heads first', async () => {
    const { table, groups } = await profileOf('everything');
    expect(table.maps).toHaveLength(3);
    const emergent = Object.values(groups!).filter((status) => status === 'emergent').length;
    expect(emergent).toBeGreaterThan(0);
    table.maps.forEach(({ head, prompt }, index) => {
      expect(prompt).toBe(1);
      expect(groups![head] === 'emergent').toBe(index < emergent);
    });
  });

  it('takes the heads of a group, of the circuit, or by name', async () => {
    const { groups } = await profileOf('everything');
    const named = (...statuses: string[]) =>
      Object.keys(groups!)
        .filter((name) => statuses.includes(groups![name]))
        .sort();
    const own = async (name: string) =>
      (await profileOf(name)).table.heads.map((head) => head.name).sort();
    expect(await own('emergent')).toEqual(named('emergent'));
    expect(await own('circuit')).toEqual(named('emergent', 'retained'));
    expect(await own('named')).toEqual(['a0.h4', 'a2.h1']);
    const { table } = await profileOf('emergent');
    expect(table.maps).toHaveLength(named('emergent').length);
    expect(table.settings.queries).toBe('answer');
    expect((await profileOf('circuit')).table.maps).toEqual([]);
    // Each prompt says "assistant" once, and its <think> is no marker here.
    const marked = await profileOf('named');
    expect(marked.table.tokens!.think).toBe(48);
  });

  it('measures the same of a head whatever else is measured', async () => {
    const all = await profileOf('everything');
    for (const row of (await profileOf('circuit')).table.heads) {
      expect(row).toEqual(all.table.heads.find(({ name }) => name === row.name));
    }
  });

  it('measures named heads again for no other circuit, unless other heads are drawn, and none for other tests', async () => {
    const out = await newFolder();
    await cp(run, out, { recursive: true });
    const again = async (text: string): Promise<string[]> => {
      const { computed } = await runStudy(await readStudy(await writeStudy(text)), { out });
      return computed.map(({ kind, id }) => `${kind} ${id.split('.')[0]}`).sort();
    };
    expect(await again(study.replace('permutations: 99', 'permutations: 199'))).toEqual([
      'heads circuit',
      'heads emergent',
      'heads everything',
      'heads named',
      'heads without-maps',
      'tracking GRPO',
    ]);
    const others = await again(study.replace('n: 40', 'n: 60'));
    const measured = others.filter((name) => name.startsWith('head-table'));
    expect(measured).toEqual([
      'head-table circuit',
      'head-table emergent',
      'head-table everything',
      // Not "named", whose one map is of the same head.
    ]);
    expect(others.filter((name) => name.startsWith('heads'))).toHaveLength(5);
  });

  it('gives an empty profile where a group has no heads', async () => {
    // The base against itself: nothing emerges.
    const same = study
      .replace('grpo-step120', 'base')
      .replace(/heads:[^]*statistics/, 'heads: [{ name: none, which: emergent }]\nstatistics');
    const out = await newFolder();
    await runStudy(await readStudy(await writeStudy(same)), { out, only: ['heads'] });
    const { stages } = await readManifest(out);
    const { id, key } = stages.find(({ kind }) => kind === 'heads')!;
    const path = join(out, 'results/heads', `${id}@${key}`, 'heads.json');
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ name: 'none', profile: null });
  }, 120_000);
});
