import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HeadsparkError } from '../../../lib/errors.js';
import { ResultStore } from '../../../lib/study/store.js';

let run: string;
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), 'headspark-store-'));
});
afterEach(() => rm(run, { recursive: true, force: true }));

const name = { kind: 'pairs', id: 'base', key: 'abc' };

/** Takes the work place and removes it again, as often as no one else has it. */
async function takeAndDiscard(times: number): Promise<number> {
  const store = new ResultStore(run);
  let taken = 0;
  for (let i = 0; i < times; i++) {
    try {
      await store.discard(await store.begin(name));
      taken += 1;
    } catch (error) {
      const inUse =
        error instanceof HeadsparkError && error.code === 'ERR_HEADSPARK_INVALID_ARGUMENT';
      if (!inUse) throw error;
    }
  }
  return taken;
}

describe('a work place', () => {
  it('is taken while others remove its folder, or is in use', async () => {
    const taken = await Promise.all([1, 2, 3, 4].map(() => takeAndDiscard(150)));
    expect(taken.every((times) => times > 0)).toBe(true);
    expect(await readdir(join(run, 'work'))).toEqual([]);
  });
});
