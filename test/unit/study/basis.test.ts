// Stages that read a part of an earlier result, with stages that compute nothing: what is taken over
// when the earlier stage is computed again, what is not, and what is known of it before.
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Bases } from '../../../lib/study/basis.js';
import type { Facts } from '../../../lib/study/facts.js';
import { buildGraph, type StageNode } from '../../../lib/study/graph.js';
import { littleWork, type StageInstance, type StageKind } from '../../../lib/study/stage.js';
import { StageRunner, type Outcome } from '../../../lib/study/stage-runner.js';
import { ResultStore } from '../../../lib/study/store.js';
import type { Study } from '../../../lib/study/study.js';

const study = { checkpoints: [] } as unknown as Study;
const facts = { checkpoints: new Map(), device: 'cpu', isa: 'portable' } as unknown as Facts;

interface Settings {
  /** What the reader reads of the source, and what it does not. */
  readonly heads?: string;
  readonly noise?: number;
  /** Decides the reader's result, but not what takes its time. */
  readonly confidence?: number;
  /** What the reader asks for, where that is not its part. */
  readonly reads?: string;
  readonly fails?: boolean;
}

/** source -> reader (of a part) -> table (of the reader's files). */
function kindsOf(settings: Settings): StageKind[] {
  const { heads = 'a1.h1', noise = 0, confidence = 0.95, reads, fails = false } = settings;
  const stage = (kind: string, own: Partial<StageInstance>, run: StageKind['run']): StageKind => ({
    kind,
    title: kind,
    revision: 1,
    instances: () => [
      { kind, id: 'one', settings: {}, needs: {}, weights: [], work: littleWork, ...own },
    ],
    run,
  });
  const part = {
    name: 'the heads',
    read: async (file: (name: string) => string): Promise<unknown> =>
      (JSON.parse(await readFile(file('source.json'), 'utf8')) as { heads: string }).heads,
  };
  return [
    stage('source', { settings: { heads, noise } }, async (_, { folder }) => {
      await writeFile(join(folder, 'source.json'), JSON.stringify({ heads, noise }));
    }),
    stage(
      'reader',
      {
        settings: { confidence },
        needs: { source: { kind: 'source', id: 'one', part } },
        costly: { settings: {}, needs: ['source'], id: 'one' },
      },
      async (_, context) => {
        if (reads !== undefined) context.needed('source', reads);
        const state = join(context.stateFolder, 'half');
        const half = await readFile(state, 'utf8').catch(() => 'nothing');
        await writeFile(state, 'half of it');
        if (fails) throw new Error('killed');
        const earlier = await context.earlier('read.json');
        seen = { half, earlier: earlier.length };
        const read = { heads: context.part('source'), confidence };
        await writeFile(join(context.folder, 'read.json'), JSON.stringify(read));
      },
    ),
    stage(
      'table',
      { needs: { read: { kind: 'reader', id: 'one', files: ['read.json'] } } },
      async (_, context) => {
        const text = await readFile(context.needed('read', 'read.json'), 'utf8');
        await writeFile(join(context.folder, 'table.txt'), text);
      },
    ),
  ];
}

let out: string;
/** By the reader's last run. */
let seen: { half: string; earlier: number } | undefined;

beforeEach(async () => {
  out = await mkdtemp(join(tmpdir(), 'headspark-basis-'));
  seen = undefined;
});
afterEach(() => rm(out, { recursive: true, force: true }));

const nodesOf = (settings: Settings): readonly StageNode[] =>
  buildGraph(study, facts, kindsOf(settings)).nodes;

async function run(settings: Settings, only = 3): Promise<Outcome[]> {
  const runner = new StageRunner(study, facts, { out });
  const outcomes: Outcome[] = [];
  for (const node of nodesOf(settings).slice(0, only)) {
    const stored = await runner.isStored(node);
    outcomes.push(stored ? 'there' : await runner.compute(node, () => undefined));
  }
  runner.dispose();
  return outcomes;
}

const pathOf = (settings: Settings, index: number, file: string): string =>
  join(new ResultStore(out).folderOf(nodesOf(settings)[index]), file);

describe('a stage that reads a part of an earlier result', () => {
  it('takes its result over, and so do those behind it, where the part stays', async () => {
    expect(await run({})).toEqual(['computed', 'computed', 'computed']);
    expect(await run({ noise: 1 })).toEqual(['computed', 'taken', 'taken']);
    for (const [index, file] of ['source.json', 'read.json', 'table.txt'].entries()) {
      const [own, other] = [pathOf({ noise: 1 }, index, file), pathOf({}, index, file)];
      expect(own).not.toBe(other);
      if (index > 0) expect(await readFile(own, 'utf8')).toBe(await readFile(other, 'utf8'));
    }
    expect(await readdir(join(out, 'work'))).toEqual([]);
    expect(await run({})).toEqual(['there', 'there', 'there']);
  });

  it('is computed where the part changes, and stays where it changes back', async () => {
    await run({});
    expect(await run({ heads: 'a2.h0' })).toEqual(['computed', 'computed', 'computed']);
    expect(await run({ noise: 2 })).toEqual(['computed', 'taken', 'taken']);
  });

  it('has the record of what it was made of that a fresh run has', async () => {
    await run({});
    await run({ noise: 1 });
    const taken = await readFile(pathOf({ noise: 1 }, 1, 'done.json'), 'utf8');
    await rm(join(out, 'results'), { recursive: true });
    await run({ noise: 1 });
    expect(await readFile(pathOf({ noise: 1 }, 1, 'done.json'), 'utf8')).toBe(taken);
  });

  it('takes nothing that was damaged, or of a version that noted no basis', async () => {
    await run({});
    const path = pathOf({}, 1, 'read.json');
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace('0.95', '0.96'));
    expect(await run({ noise: 1 })).toEqual(['computed', 'computed', 'taken']);
    await rm(join(out, 'results'), { recursive: true });
    await run({});
    const done = pathOf({}, 1, 'done.json');
    const old = JSON.parse(await readFile(done, 'utf8')) as object;
    await writeFile(done, JSON.stringify({ ...old, basis: undefined }));
    expect(await run({ noise: 1 })).toEqual(['computed', 'computed', 'taken']);
    expect(await run({})).toEqual(['there', 'there', 'there']);
  });

  it('gets nothing that it does not declare', async () => {
    await expect(run({ reads: 'source.json' })).rejects.toThrow(/which does not say so/);
  });

  it('goes on with what was begun before the earlier stage was computed again', async () => {
    await expect(run({ fails: true })).rejects.toThrow('killed');
    const bases = new Bases(new ResultStore(out));
    await run({ noise: 1 }, 1);
    expect(await bases.isBegun(nodesOf({ noise: 1 })[1])).toBe(true);
    expect(await run({ noise: 1 })).toEqual(['there', 'computed', 'computed']);
    expect(seen).toMatchObject({ half: 'half of it' });
    expect(await readdir(join(out, 'work'))).toEqual([]);
  });

  it('is offered results with the same costly part', async () => {
    await run({});
    expect(seen).toEqual({ half: 'nothing', earlier: 0 });
    await run({ confidence: 0.9 });
    expect(seen).toEqual({ half: 'nothing', earlier: 1 });
    await run({ confidence: 0.9, heads: 'a2.h0' });
    expect(seen).toMatchObject({ earlier: 0 });
  });

  it('stores links to the same files, which take no room twice', async () => {
    await run({});
    await run({ noise: 1 });
    const [one, other] = await Promise.all(
      [{}, { noise: 1 }].map((settings) => stat(pathOf(settings, 1, 'read.json'))),
    );
    expect(one.ino).toBe(other.ino);
  });
});

describe('what is known before an earlier stage is done', () => {
  it('is that a stage may keep its result, and on what it depends', async () => {
    await run({});
    const [, reader, table] = nodesOf({ noise: 1 });
    const outlook = (node: StageNode) => new Bases(new ResultStore(out)).outlookOf(node);
    expect(await outlook(reader)).toEqual({ dependsOn: ['the heads of source one'] });
    expect(await outlook(table)).toEqual({ dependsOn: ['the result of reader one'] });
    await run({ noise: 1 }, 1);
    expect(await outlook(reader)).toEqual({ dependsOn: [] });
    expect(await outlook(nodesOf({ confidence: 0.9 })[1])).toBeUndefined();
    await run({ heads: 'a2.h0' }, 1);
    expect(await outlook(nodesOf({ heads: 'a2.h0' })[1])).toBeUndefined();
  });

  it('is that an earlier stage whose result lost bytes is to be computed again', async () => {
    await run({});
    await run({ noise: 1 }, 1);
    await writeFile(pathOf({ noise: 1 }, 0, 'source.json'), '{}');
    const [, reader] = nodesOf({ noise: 1 });
    const bases = new Bases(new ResultStore(out));
    expect(await bases.outlookOf(reader)).toEqual({ dependsOn: ['the heads of source one'] });
    expect(await bases.isBegun(reader)).toBe(false);
    expect(await run({ noise: 1 })).toEqual(['computed', 'taken', 'taken']);
  });
});
