// Training logs in every form, and their values at the checkpoints.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { LogSpec } from '../../../lib/study/study.js';
import { readTrainingLog, valuesAtSteps } from '../../../lib/study/training-log.js';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-log-'));
});

async function read(name: string, text: string, spec: Partial<LogSpec> = {}) {
  const file = join(folder, name);
  await writeFile(file, text);
  const { points } = await readTrainingLog({
    name: 'reward',
    file,
    where: {},
    step: 'step',
    value: 'reward',
    reduce: 'last',
    path: [],
    ...spec,
  });
  return points;
}

describe('readTrainingLog', () => {
  it('reads JSON, JSONL and CSV, in order of steps, without entries that say nothing', async () => {
    const expected = [
      { step: 1, value: 0.5 },
      { step: 2, value: -1 },
    ];
    expect(
      await read('a.json', '[{"step":2,"reward":-1},{"step":1,"reward":0.5},{"step":3}]'),
    ).toEqual(expected);
    expect(
      await read('a.jsonl', '{"step":1,"reward":0.5}\n\n{"step":2,"reward":-1}\n{"loss":3}\n'),
    ).toEqual(expected);
    expect(await read('a.csv', 'step,reward\n1,0.5\n2,-1\n3,\n4,nan\n')).toEqual(expected);
  });

  it('finds a list and a value inside, and keeps only the asked-for entries', async () => {
    const text = JSON.stringify({
      runs: {
        log: [
          { at: 5, run: 1, eval: { acc: 0.25 } },
          { at: 6, run: 2, eval: { acc: 0.75 } },
        ],
      },
    });
    const spec = { at: 'runs.log', step: 'at', value: 'eval.acc', where: { run: 2 } };
    expect(await read('b.json', text, spec)).toEqual([{ step: 6, value: 0.75 }]);
  });

  it.each([
    ['c.json', '{', {}, /c\.json is not valid JSON/],
    ['c.json', '{"a":[]}', {}, /has no list of entries at its top; say where they are with at/],
    ['c.json', '{"a":[]}', { at: 'b.c' }, /has no list of entries at "b\.c"/],
    ['c.json', '[]', {}, /has no entry with numbers "step" and "reward"/],
    ['c.csv', 'step,reward\n1,2\n', { where: { run: 3 } }, /where run is 3/],
    ['c.jsonl', '{"step":1}\nx\n', {}, /not valid JSON/],
    ['c.json', 'null', {}, /has no list/],
    ['c.json', '[null, 3, "x"]', {}, /has no entry/],
  ])('refuses %s %s %j', async (name, text, spec, message) => {
    await expect(read(name, text, spec)).rejects.toThrow(message);
  });
});

describe('valuesAtSteps', () => {
  const points = [0, 1, 2, 3, 10, 20].map((step) => ({ step, value: step / 10 }));
  const steps = { base: 0, checkpoints: [2, 10, 15, 20] };

  it('takes the last entry since the checkpoint before', () => {
    const log = { name: 'accuracy', points, reduce: 'last' as const };
    expect(valuesAtSteps(log, steps)).toEqual({ name: 'accuracy', values: [0.2, 1, null, 2] });
  });

  it("or averages them, without the base's own", () => {
    const { values } = valuesAtSteps({ name: 'reward', points, reduce: 'mean' }, steps);
    [(0.1 + 0.2) / 2, (0.3 + 1) / 2, null, 2].forEach((expected, index) => {
      if (expected === null) expect(values[index]).toBeNull();
      else expect(values[index]).toBeCloseTo(expected, 12);
    });
  });
});
