// One runner for all JavaScript suites. Those with the addon, the real bin or a browser have a
// process for each file, so that a crash in native code names the file it happened in; unit tests
// have no addon and share theirs. Three at once on two cores: a third of the time of the command
// line's tests is waiting, for Slurm or for a page.
import { defineConfig } from 'vitest/config';

const unit = 'test/unit/**/*.test.ts';
const timeouts = { testTimeout: 60_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    globalSetup: 'test/temporary-folder.ts',
    maxWorkers: 3,
    projects: [
      { test: { ...timeouts, name: 'unit', include: [unit], pool: 'forks', isolate: false } },
      {
        test: {
          ...timeouts,
          name: 'whole',
          include: ['test/**/*.test.ts'],
          exclude: [unit],
          pool: 'forks',
        },
      },
    ],
  },
});
