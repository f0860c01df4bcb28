import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HeadsparkError } from '../../../lib/errors.js';
import { ResultStore } from '../../../lib/study/store.js';

let run: string;
beforeEach(async () => {
  run = await mkdtemp(join(tmpdir(), 'headspark-store-'));
});
afterEach(() => rm(run, { recursive: true, force: true }));

const name = { kind: 'pairs', id: 'base', key: 'abc' };

/** Takes the work place and removes it again so many times, trying until no one else has it. */
async function takeAndDiscard(times: number): Promise<void> {
  const store = new ResultStore(run);
  for (let taken = 0; taken < times;) {
    try {
      await store.discard(await store.begin(name));
      taken += 1;
    } catch (error) {
      const inUse =
        error instanceof HeadsparkError && error.code === 'ERR_HEADSPARK_INVALID_ARGUMENT';
      if (!inUse) throw error;
      // A lock takes as long as the disk, and a try without one no time.
      await setTimeout(Math.random());
    }
  }
}

describe('a work place', () => {
  it('is taken while others remove its folder, or is in use', async () => {
    await Promise.all([1, 2, 3, 4].map(() => takeAndDiscard(40)));
    expect(await readdir(join(run, 'work'))).toEqual([]);
  });
});
