// A whole study: what is computed again after a change and what is not, shards, other threads and
// memory, merging, and damage.
import { parseShard } from '../../../lib/shard.js';
import { mkdir, readdir, readFile, rm, writeFile, cp } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  mergeRuns,
  planStudy,
  readStudy,
  runStudy,
  studyStatus,
} from '../../../lib/study/index.js';
import { generateGreedy } from '../../../lib/generate.js';
import { loadModel } from '../../../lib/model.js';
import type { Opening } from '../../../lib/study/stages/openings.js';
import { readManifest } from '../../../lib/study/manifest.js';
import { digest, models, newFolder, run, smallStudy, writeStudy } from './small-study.js';

let whole: string;
let reference: Record<string, string>;

beforeAll(async () => {
  const summary = await run(smallStudy);
  whole = summary.out;
  reference = await digest(whole);
  expect(summary).toMatchObject({ complete: true, waiting: 0, reused: 0 });
  expect(summary.counts).toEqual({
    pairs: 2,
    attribution: 10,
    circuit: 10,
    evaluation: 10,
    'null-diff': 2,
    diff: 8,
    'form-diff': 5,
    tracking: 4,
    regimes: 2,
    // One of the ablations in two parts.
    variants: 10,
    ablation: 8,
    'head-table': 2,
    heads: 2,
    // Five checkpoints and two ablations, each in two parts.
    samples: 24,
    benchmark: 10,
    'benchmark-ablation': 2,
  });
}, 240_000);

/** A copy of the finished run, to change. */
async function copyOfWhole(): Promise<string> {
  const out = join(await newFolder(), 'run');
  await cp(whole, out, { recursive: true });
  return out;
}

describe('a finished study', () => {
  it('computes nothing when it is run again', async () => {
    const again = await run(smallStudy, { out: await copyOfWhole() });
    expect(again).toMatchObject({ counts: {}, reused: again.stages, complete: true });
  });

  it('computes no attribution when only the threshold changes', async () => {
    const changed = smallStudy.replace('tau: 0.1', 'tau: 0.12');
    const { counts } = await run(changed, { out: await copyOfWhole() });
    expect(counts).not.toHaveProperty('attribution');
    expect(counts).not.toHaveProperty('pairs');
    // What reads only the heads is computed again where these change; the scaling plan names its own.
    expect(counts).toEqual({
      circuit: 10,
      evaluation: 3,
      'null-diff': 2,
      diff: 8,
      'form-diff': 5,
      tracking: 1,
      regimes: 1,
      variants: 2,
      ablation: 1,
      // The maps are drawn of the heads that the diff says are important.
      'head-table': 1,
      heads: 1,
      samples: 2,
      'benchmark-ablation': 1,
    });
  });

  it('computes only its own stages when one checkpoint changes', async () => {
    const changed = smallStudy.replace(`${models}/sft-step25`, `${models}/sft-step60`);
    const { counts, computed } = await run(changed, { out: await copyOfWhole() });
    expect(counts).toEqual({
      attribution: 2,
      circuit: 2,
      evaluation: 2,
      diff: 2,
      'form-diff': 1,
      // Of one form: under the other the heads of the circuit are the same.
      tracking: 1,
      regimes: 1,
      samples: 4,
      benchmark: 2,
    });
    for (const { kind, id } of computed) {
      if (kind === 'tracking' || kind === 'regimes') continue;
      expect(id).toMatch(/^(chains\.)?sft-step25\./);
    }
  });

  it('computes no circuit and measures no head again when only permutations change', async () => {
    const changed = smallStudy.replace('permutations: 200', 'permutations: 300');
    const { counts } = await run(changed, { out: await copyOfWhole() });
    expect(counts).toEqual({ tracking: 4, regimes: 2, heads: 2 });
  });

  it('generates nothing when only the k of pass@k change, and only samples where they change', async () => {
    const changed = smallStudy.replace('k: [1, 3]', 'k: [1, 2, 3]');
    const { counts } = await run(changed, { out: await copyOfWhole() });
    expect(counts).toEqual({ benchmark: 10, 'benchmark-ablation': 2 });
    const longer = smallStudy.replace('max-new-tokens: 40', 'max-new-tokens: 41');
    const again = await run(longer, { out: await copyOfWhole() });
    // One of the ablations has no heads.
    expect(again.counts).toEqual({ samples: 24, benchmark: 10, 'benchmark-ablation': 1 });
  });

  it('gives the same tables whether problems and variants are in one part or in three', async () => {
    const out = await copyOfWhole();
    const tables = async (): Promise<Record<string, string>> => {
      const { stages } = await readManifest(out);
      const own = stages.filter(({ kind }) => /^(benchmark|ablation)/.test(kind));
      return Object.fromEntries(
        await Promise.all(
          own.map(async ({ kind, id, key }) => {
            const path = join(out, 'results', kind, `${id}@${key}`, `${kind}.json`);
            return [`${kind} ${id}`, await readFile(path, 'utf8')] as const;
          }),
        ),
      );
    };
    const two = await tables();
    for (const parts of [1, 3]) {
      await run(smallStudy.replaceAll('parts: 2', `parts: ${parts}`), { out });
      expect(await tables()).toEqual(two);
    }
  });

  it('keeps earlier settings, so that going back costs nothing', async () => {
    const out = await copyOfWhole();
    await run(smallStudy.replace('permutations: 200', 'permutations: 300'), { out });
    expect((await run(smallStudy, { out })).counts).toEqual({});
    const status = await studyStatus(await readStudy(await writeStudy(smallStudy)), { out });
    expect(status).toMatchObject({ complete: true, outdated: 8 });
  });
});

describe('results', () => {
  it('have the same bytes for another thread count and memory budget', async () => {
    const { out } = await run(smallStudy, { threads: 1, memoryBytes: 24 * 2 ** 20 });
    expect(await digest(out)).toEqual(reference);
  }, 240_000);

  it('have the same bytes in shards of any number, merged', async () => {
    const study = await readStudy(await writeStudy(smallStudy));
    const folder = await newFolder();
    const parts = [1, 2, 3].map((index) => join(folder, `part${index}`));
    for (const [index, out] of parts.entries()) {
      const shard = { index: index + 1, count: 3 };
      const summary = await runStudy(study, { out, shard });
      // A shard without the base waits for the base's scores.
      if (index > 0) expect(summary.waiting).toBeGreaterThan(0);
      expect(summary.complete).toBe(false);
    }
    const merged = join(folder, 'merged');
    const { missing, equal } = await mergeRuns(parts, merged);
    expect(missing).toBeGreaterThan(0);
    expect(equal).toBe(4); // every shard makes the two pairs stages itself
    const rest = await runStudy(study, { out: merged });
    expect(rest.computed.map(({ kind }) => kind)).not.toContain('attribution');
    expect(rest.complete).toBe(true);
    expect(await digest(merged)).toEqual(reference);
    // Once more, now that nothing is missing.
    expect(await mergeRuns([merged, ...parts], join(folder, 'all'))).toMatchObject({ missing: 0 });
    expect(await digest(join(folder, 'all'))).toEqual(reference);
  }, 240_000);

  it('have the same bytes when shards share one folder at the same time', async () => {
    const study = await readStudy(await writeStudy(smallStudy));
    const out = join(await newFolder(), 'run');
    const shard = (index: number) => runStudy(study, { out, shard: { index, count: 2 } });
    await Promise.all([shard(1), shard(2)]);
    await runStudy(study, { out });
    expect(await digest(out)).toEqual(reference);
  }, 240_000);
});

describe('parts of a study', () => {
  it('runs one kind of stage with what it needs', async () => {
    const { counts, complete } = await run(smallStudy, { only: ['null-diff'] });
    expect(counts).toEqual({ pairs: 2, attribution: 2, 'null-diff': 2 });
    expect(complete).toBe(false);
  });

  it('ablates heads of named checkpoints and series, and measures them there', async () => {
    const named = smallStudy
      .replace('controls: 4,', 'controls: 4, checkpoints: [sft-step10, GRPO],')
      .replace('benchmarks: [chains],', 'benchmarks: [chains], checkpoints: [sft-step25],')
      .replace('single: true,', 'single: true, checkpoints: [sft-step25],')
      .replace('maps: 2,', 'maps: 2, checkpoints: [sft-step25],');
    const { nodes } = await planStudy(await readStudy(await writeStudy(named)));
    const idsOf = (kind: string, name: string): string[] =>
      nodes.filter((one) => one.kind === kind && one.id.startsWith(name)).map(({ id }) => id);
    expect(idsOf('ablation', 'emergent')).toEqual([
      'emergent.sft-step10.sums.thinking.x0',
      'emergent.grpo-step120.sums.thinking.x0',
    ]);
    expect(idsOf('benchmark-ablation', '')).toEqual([
      'solving.chains.sft-step25.sums.thinking.x0',
    ]);
    expect(idsOf('heads', '')).toEqual(['all-heads.sft-step25.sums.thinking']);
  });

  it('refuses unknown stages and shards', async () => {
    await expect(run(smallStudy, { only: ['atribution'] })).rejects.toThrow(
      /no stage "atribution".*Did you mean attribution\?/,
    );
    for (const text of ['0/2', '3/2', '1', 'a/b', '1/0']) {
      expect(() => parseShard(text), text).toThrow(/of the form I\/N/);
    }
  });

  it('plans every stage with its forwards, time, memory and disk', async () => {
    const plan = await planStudy(await readStudy(await writeStudy(smallStudy)));
    // 6 problems x 3 samples x 40 tokens: 10 times alone, twice unablated, ablated and two controls.
    expect(plan.total.tokens).toBe(6 * 3 * 40 * (10 + 2 * 4));
    const samples = plan.nodes.filter(({ kind }) => kind === 'samples');
    expect(samples.map(({ id }) => id)).toContain('chains.sft-step10.thinking.2-of-2');
    expect(samples.every(({ seconds }) => seconds > 0.05)).toBe(true);
    const byKind = Object.fromEntries(plan.kinds.map((kind) => [kind.kind, kind]));
    // 10 attributions of 12 pairs: 3 steps and the clean run, the corrupted one being the first step.
    expect(byKind['attribution']).toMatchObject({ stages: 10, forwards: 480, backwards: 360 });
    expect(byKind['variants'].forwards).toBeGreaterThan(0);
    expect(byKind['ablation'].forwards).toBe(0);
    for (const { kind, seconds, memoryBytes, diskBytes } of plan.kinds) {
      expect(seconds, kind).toBeGreaterThan(0);
      expect(memoryBytes, kind).toBeGreaterThan(2 ** 20);
      expect(diskBytes, kind).toBeGreaterThan(0);
    }
    expect(plan.total.stages).toBe(plan.nodes.length);
    const stored = Object.keys(reference).length;
    expect(stored).toBeGreaterThan(plan.nodes.length);
  });

  it('knows the state of a run that stopped half way', async () => {
    const study = await readStudy(await writeStudy(smallStudy));
    const out = join(await newFolder(), 'run');
    await runStudy(study, { out, only: ['circuit'] });
    const { kinds, complete } = await studyStatus(study, { out });
    const byKind = Object.fromEntries(kinds.map((kind) => [kind.kind, kind]));
    expect(byKind['circuit']).toMatchObject({ done: 10, ready: 0 });
    expect(byKind['evaluation']).toMatchObject({ done: 0, ready: 10 });
    expect(byKind['diff']).toMatchObject({ done: 0, waiting: 8 });
    expect(complete).toBe(false);
  });
});

describe('prompt forms', () => {
  it('render the messages of one file with and without thinking', async () => {
    const folder = await newFolder();
    const line = (problem: string, answer: string, other: string, wrong: string): string =>
      JSON.stringify({
        messages: [{ role: 'user', content: `Compute left to right, mod 10: ${problem}` }],
        corrupted_messages: [{ role: 'user', content: `Compute left to right, mod 10: ${other}` }],
        correct: answer,
        incorrect: wrong,
      });
    const lines = [line('1+2', '3', '4+5', '9'), line('2*3', '6', '7*1', '7')];
    await writeFile(join(folder, 'chat.jsonl'), lines.join('\n'));
    const text = smallStudy.replace(
      /pairs: \{.*\}/,
      `pairs: ${join(folder, 'chat.jsonl')}`,
    );
    const { out } = await run(text, { only: ['pairs'] });
    const texts: string[] = [];
    const entries = (await readdir(join(out, 'results', 'pairs'))).sort();
    for (const entry of entries) {
      const stored = await readFile(join(out, 'results', 'pairs', entry, 'pairs.jsonl'), 'utf8');
      texts.push((JSON.parse(stored.split('\n')[0]) as { text: string }).text);
    }
    const [direct, thinking] = texts;
    expect(direct).toMatch(/assistant\n<think>\n\n<\/think>\n\n$/);
    expect(thinking).toMatch(/assistant\n$/);
  });
});

describe('other sources', () => {
  it('generates pairs, and compares series that start from bases of their own', async () => {
    const text = `study: two-bases
base: { model: ${models}/base }
series:
  - label: small
    regime: sft
    checkpoints: [{ step: 10, model: ${models}/sft-step25 }]
  - label: other
    regime: sft
    base: { name: base two, model: ${models}/base-step1200 }
    checkpoints: [{ step: 1500, model: ${models}/base }]
tasks:
  - { name: sums, generate: { task: arithmetic, count: 6, min-operand: 1, max-operand: 9 } }
attribution: { ig-steps: 2 }
selection: { rule: top-n, n: 60 }
statistics: { resamples: 30, null-repeats: 5, permutations: 50 }
`;
    const { counts, out } = await run(text);
    expect(counts).toMatchObject({ pairs: 2, attribution: 4, tracking: 2, regimes: 1 });
    const [entry] = await readdir(join(out, 'results', 'regimes'));
    const file = JSON.parse(
      await readFile(join(out, 'results', 'regimes', entry, 'regimes.json'), 'utf8'),
    );
    // Sets of different bases are compared by depth, never head by head.
    expect(file.overlaps).toEqual([]);
    expect(file.depth.profiles).toHaveLength(2);
  });
});

describe('openings that the models write', () => {
  const text = `study: openings
base: { model: ${models}/base }
series:
  - label: GRPO
    regime: grpo
    checkpoints:
      - { name: grpo-step25, step: 25, model: ${models}/grpo-step25 }
      - { name: grpo-step120, step: 120, model: ${models}/grpo-step120 }
prompt-forms:
  - { name: thinking, thinking: true }
tasks:
  - { name: sums, openings: { problems: demo, limit: 8, opening-length: 6 } }
attribution: { ig-steps: 2 }
selection: { rule: top-n, n: 60 }
ablations:
  - { name: emergent, group: emergent, top-k: 1, controls: 1 }
statistics: { resamples: 30, null-repeats: 5, permutations: 50 }
`;

  async function read<T>(out: string, kind: string, file: string): Promise<Record<string, T[]>> {
    const { stages } = await readManifest(out);
    const own = stages.filter((stage) => stage.kind === kind);
    return Object.fromEntries(
      await Promise.all(
        own.map(async ({ id, key }) => {
          const lines = await readFile(join(out, 'results', kind, `${id}@${key}`, file), 'utf8');
          return [id, lines.trim().split('\n').map((line) => JSON.parse(line) as T)] as const;
        }),
      ),
    );
  }

  interface StoredPair {
    clean: number[];
    corrupted: number[];
    correct: number;
    incorrect: number;
  }

  it('make pairs of equal length that are swapped for the base, the same bytes each time', async () => {
    const { out, counts } = await run(text);
    expect(counts).toMatchObject({ openings: 1, pairs: 2, attribution: 3, diff: 2, ablation: 1 });
    const openings = await read<Opening>(out, 'openings', 'openings.jsonl');
    const pairs = await read<StoredPair>(out, 'pairs', 'pairs.jsonl');
    const [own, post] = [pairs['base.sums.thinking'], pairs['base.sums.thinking.post']];
    expect(own.length).toBeGreaterThan(2);
    expect(post).toHaveLength(own.length);
    own.forEach((pair, index) => {
      expect(pair.clean).toHaveLength(pair.corrupted.length);
      // The base's own opening is clean for the base, and corrupted for the others.
      expect(post[index]).toMatchObject({
        clean: pair.corrupted,
        corrupted: pair.clean,
        correct: pair.incorrect,
        incorrect: pair.correct,
      });
      const from = openings['base.sums.thinking'].find(
        ({ prompt, base }) =>
          [...prompt, ...base].join().startsWith([...pair.clean, pair.correct].join()),
      );
      expect(from, String(index)).toBeDefined();
      const length = pair.clean.length - from!.prompt.length;
      expect(length).toBeLessThanOrEqual(6);
      expect([...from!.prompt, ...from!.post.slice(0, length)]).toEqual(pair.corrupted);
      expect(from!.post[length]).toBe(pair.incorrect);
    });
    // The openings are the models' own greedy answers.
    const [first] = openings['base.sums.thinking'];
    const model = await loadModel(join(models, 'grpo-step120'));
    const [tokens] = await generateGreedy(model, [{ prompt: first.prompt }], { maxNewTokens: 7 });
    model.dispose();
    expect(first.post).toEqual(tokens);
    expect(first.postText).toMatch(/^<think>\n\d/);
    const again = await run(text, { threads: 1, memoryBytes: 24 * 2 ** 20 });
    expect(await digest(again.out)).toEqual(await digest(out));
  }, 240_000);

  it('are planned, and written again only where a writer changes', async () => {
    const plan = await planStudy(await readStudy(await writeStudy(text)));
    const openings = plan.kinds.find(({ kind }) => kind === 'openings')!;
    expect(openings).toMatchObject({ stages: 1, forwards: 2 * 8, tokens: 2 * 8 * 7 });
    const { out } = await run(text, { only: ['pairs'] });
    const other = text.replace('opening-length: 6', 'opening-length: 6, by: grpo-step25');
    // The other model begins its answers in the same way, so that the pairs stay.
    expect((await run(other, { out, only: ['pairs'] })).counts).toEqual({ openings: 1 });
    const threshold = text.replace('n: 60', 'n: 61');
    expect((await run(threshold, { out, only: ['pairs'] })).counts).toEqual({});
  }, 120_000);

  it('say so when two models begin every answer alike', async () => {
    const same = text.replaceAll(/grpo-step(25|120) }/g, 'base }');
    await expect(run(same, { only: ['pairs'] })).rejects.toThrow(
      /base and grpo-step120 begin every one of the 8 answers alike/,
    );
  });
});

describe('damage', () => {
  it('of stored results is said and computed again, to the same bytes', async () => {
    const out = await copyOfWhole();
    const fileOf = async (kind: string, name: string) => {
      const [entry] = (await readdir(join(out, 'results', kind))).sort();
      return join(out, 'results', kind, entry, name);
    };
    const [short, raised, torn] = [
      await fileOf('diff', 'diff.json'),
      await fileOf('heads', 'heads.json'),
      await fileOf('circuit', 'done.json'),
    ];
    await writeFile(short, '{}');
    const text = await readFile(raised, 'utf8');
    await writeFile(raised, text.replace(/[1-8](?=\d{3})/, (digit) => `${Number(digit) + 1}`));
    expect((await readFile(raised, 'utf8')).length).toBe(text.length);
    await writeFile(torn, '{"format":');
    const remarks: string[] = [];
    const options = { out, onRemark: (remark: string) => remarks.push(remark) };
    const { counts, complete } = await run(smallStudy, options);
    expect({ counts, complete }).toEqual({
      counts: { circuit: 1, diff: 1, heads: 1 },
      complete: true,
    });
    const own = remarks.filter((remark) => remark.includes('computed again'));
    expect(own.sort()).toEqual([
      expect.stringMatching(/circuit\/\S+\/done\.json is damaged: circuit \S+ is computed again\.$/),
      expect.stringMatching(/diff\.json does not have its \d+ bytes: diff \S+ is computed again\.$/),
      expect.stringMatching(/heads\.json does not have the hash .*: heads \S+ is computed again\.$/),
    ]);
    expect(await digest(out)).toEqual(reference);
  });

  it('is found: a foreign folder, results that differ', async () => {
    const [entry] = await readdir(join(whole, 'results', 'diff'));
    const other = smallStudy.replace('study: small', 'study: other');
    await expect(run(other, { out: await copyOfWhole() })).rejects.toThrow(
      /holds the study "small", not "other"/,
    );

    const changed = await copyOfWhole();
    const path = join(changed, 'results', 'diff', entry, 'diff.json');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('"seed":3', '"seed":4'));
    await expect(mergeRuns([whole, changed], join(await newFolder(), 'm'))).rejects.toThrow(
      /does not have the hash/,
    );
    await expect(mergeRuns([await newFolder()], join(await newFolder(), 'm'))).rejects.toThrow(
      /not the folder of a study run/,
    );
  });

  it('does no harm: a torn cache, left-over work, a result folder without its end', async () => {
    const out = await copyOfWhole();
    await writeFile(join(out, 'fingerprints.json'), '{"version":');
    await writeFile(join(out, 'timings.jsonl'), '{"kind":"di');
    const [entry] = await readdir(join(out, 'results', 'evaluation'));
    const folder = join(out, 'results', 'evaluation', entry);
    await rm(join(folder, 'done.json'));
    await mkdir(join(out, 'work', `evaluation.${entry}`, 'result'), { recursive: true });
    await writeFile(join(out, 'work', `evaluation.${entry}`, 'result', 'half.json'), '{');
    const { counts } = await run(smallStudy, { out });
    expect(counts).toEqual({ evaluation: 1 });
    expect(await digest(out)).toEqual(reference);
  });

  it('stops on a signal and says so', async () => {
    const controller = new AbortController();
    const onComputed = ({ kind }: { kind: string }): void => {
      if (kind === 'attribution') controller.abort(new Error('enough'));
    };
    const stopped = run(smallStudy, { signal: controller.signal, onComputed });
    await expect(stopped).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
  });
});
