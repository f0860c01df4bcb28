// Means and resampled activations in evaluations with a fake model: which runs they come from, what
// the generation is given, and that shards and resumed runs take the same ones.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { evaluateSubject, type EvaluateOptions } from '../../../lib/evaluation/index.js';
import type { GenerationRequest } from '../../../lib/generation-types.js';
import { fakeBenchmark, fakeSubject } from './fake.js';

const benchmark = fakeBenchmark(24);
const few: EvaluateOptions = {
  plan: { kind: 'sets', sets: [[{ layer: 0, head: 0 }], [{ layer: 1, head: 2 }]] },
  controls: 1,
  samples: 2,
  references: 6,
  seed: 3,
  resamples: 300,
};

describe('replacements', () => {
  /** One run with everything that went to the model. */
  async function runWith(change: EvaluateOptions) {
    const seen = {
      requests: [] as GenerationRequest[],
      tables: [] as (Float32Array | undefined)[],
      sequences: [] as string[],
      rows: '',
    };
    const subject = fakeSubject({
      onRequest: (request) => seen.requests.push(request),
      onTable: (table) => seen.tables.push(table),
      onActivations: (sequences, rows) => {
        seen.sequences = sequences.map((tokens) => String.fromCodePoint(...tokens));
        seen.rows = rows;
      },
    });
    const result = await evaluateSubject(subject, benchmark, { ...few, ...change });
    return { ...seen, ...result, gated: seen.requests.filter(({ heads }) => heads?.length) };
  }

  it('are not needed by zero ablation', async () => {
    const { tables, table, gated } = await runWith({});
    expect(tables).toEqual([undefined]);
    expect(table.settings.references).toEqual([]);
    expect(gated.every(({ replacement }) => replacement === undefined)).toBe(true);
  });

  it('are means over prompts and greedy continuations of the unablated model', async () => {
    const { tables, table, requests, gated, sequences, rows } = await runWith({ ablation: 'mean' });
    expect(rows).toBe('mean');
    expect(table.settings).toMatchObject({ ablation: 'mean', factors: [0] });
    const { references } = table.settings;
    expect(new Set(references).size).toBe(6);
    // The references come first, greedy, without gates; then the samples with the table.
    expect(tables).toEqual([undefined, new Float32Array(1)]);
    const first = requests.slice(0, 6);
    expect(first.every(({ heads, sampling }) => !heads && !sampling)).toBe(true);
    expect(sequences.length).toBe(6);
    sequences.forEach((text, index) => {
      expect(text).toMatch(new RegExp(`^Say ${references[index].slice(1)}1\\+1=`));
    });
    expect(gated.length).toBe(24 * 4 * 2);
    for (const { replacement } of gated) {
      expect(replacement).toEqual({ begin: 0, length: 1, loop: 0 });
    }
  });

  it('follow positions up to the longest reference, then the mean over all', async () => {
    const { gated, sequences } = await runWith({ ablation: 'mean-per-position' });
    const longest = Math.max(...sequences.map(({ length }) => length));
    for (const { replacement } of gated) {
      expect(replacement).toEqual({ begin: 0, length: longest + 1, loop: longest });
    }
  });

  it('are the run of another problem when resampled, the same for every variant', async () => {
    const { gated, sequences, table, rows } = await runWith({ ablation: 'resample' });
    expect(rows).toBe('tokens');
    const begins = sequences.map((_, index) =>
      sequences.slice(0, index).reduce((sum, { length }) => sum + length, 0),
    );
    const donors = new Map<string, Set<number>>();
    for (const { prompt, seed, replacement } of gated) {
      const donor = begins.indexOf(replacement!.begin);
      const text = String.fromCodePoint(...Array.from(prompt));
      expect(donor).toBeGreaterThanOrEqual(0);
      expect(sequences[donor].startsWith(`${text}1+1`)).toBe(false);
      const promptLength = sequences[donor].indexOf('1+1');
      const { length } = sequences[donor];
      expect(replacement).toEqual({ begin: begins[donor], length, loop: promptLength });
      const key = `${text} ${seed}`;
      donors.set(key, (donors.get(key) ?? new Set()).add(donor));
    }
    expect(donors.size).toBe(24 * 2);
    expect([...donors.values()].every(({ size }) => size === 1)).toBe(true);
    expect(new Set([...donors.values()].flatMap((own) => [...own])).size).toBe(6);
    // Without continuations where gates act in prompts alone.
    const prompts = await runWith({ ablation: 'resample', positions: 'prompt' });
    expect(prompts.tables.length).toBe(1);
    expect(prompts.sequences.every((text) => /^Say \d+$/.test(text))).toBe(true);
    expect(prompts.gated.every(({ replacement }) => replacement!.loop === 0)).toBe(true);
    expect(prompts.table.settings.references).toEqual(table.settings.references);
  });

  it('are the same for shards and when a run goes on, and are settings of the journal', async () => {
    const change = { ...few, ablation: 'resample' as const };
    const runs = new Map<string, unknown>();
    const note = (request: GenerationRequest): void => {
      if (!request.heads?.length) return;
      const key = JSON.stringify([...Array.from(request.prompt), String(request.seed)]);
      expect(runs.get(key) ?? request.replacement).toEqual(request.replacement);
      runs.set(key, request.replacement);
    };
    await evaluateSubject(fakeSubject({ onRequest: note }), benchmark, change);
    for (const index of [1, 2, 3]) {
      const shard = { index, count: 3 };
      await evaluateSubject(fakeSubject({ onRequest: note }), benchmark, { ...change, shard });
    }
    expect(runs.size).toBe(24 * 2);
    const folder = await mkdtemp(join(tmpdir(), 'headspark-replacements-'));
    const journal = join(folder, 'resample.journal');
    const failing = fakeSubject({ onRequest: note, failAfter: 60 });
    await expect(evaluateSubject(failing, benchmark, { ...change, journal })).rejects.toThrow();
    await evaluateSubject(fakeSubject({ onRequest: note }), benchmark, { ...change, journal });
    // Nothing is left to run, so no references are run either.
    const idle = fakeSubject({ failAfter: 0 });
    await evaluateSubject(idle, benchmark, { ...change, journal });
    for (const other of [{ ablation: 'mean' as const }, { references: 5 }]) {
      await expect(
        evaluateSubject(fakeSubject(), benchmark, { ...change, ...other, journal }),
      ).rejects.toThrow(/other settings: .*(ablation|references)/);
    }
  });

  it('are refused where a problem would meet its own run', async () => {
    const resample = { ...few, ablation: 'resample' as const };
    const message = /needs at least two problems and two references/;
    await expect(evaluateSubject(fakeSubject(), fakeBenchmark(1), resample)).rejects.toThrow(
      message,
    );
    await expect(
      evaluateSubject(fakeSubject(), benchmark, { ...resample, references: 1 }),
    ).rejects.toThrow(message);
    await expect(
      evaluateSubject(fakeSubject(), benchmark, { ...few, ablation: 'none' as 'mean' }),
    ).rejects.toThrow(/ablation is "none"/);
  });
});

describe('controls of the same write norm', () => {
  it('come from the heads that write as much, whatever their layer', async () => {
    const seen: string[] = [];
    const subject = fakeSubject({ onActivations: (_, rows) => seen.push(rows) });
    const options = { ...few, controls: 4, match: 'write-norm' as const };
    const { table } = await evaluateSubject(subject, benchmark, options);
    expect(seen).toEqual(['mean']);
    expect(table.settings.match).toBe('write-norm');
    // Of the seven other heads the three nearest: for a0.h0 all of them lie in the other layer.
    expect(
      table.controls.filter(({ of }) => of === 'a0.h0').map(({ heads }) => heads[0][1]),
    ).toEqual(['1', '1', '1']);
    expect(table.notes.join('\n')).toMatch(
      /a0\.h0: mean write norm 2, of its controls 1\.[89] to 2\.[12]/,
    );
    expect(table.notes.join('\n')).toMatch(/only 3 different control sets were found, 4 were/);
    await expect(
      evaluateSubject(fakeSubject(), benchmark, { ...few, match: 'size' as 'layer' }),
    ).rejects.toThrow(/match is "size"/);
  });
});
