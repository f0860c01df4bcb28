// One runner for the three JavaScript suites: unit (no addon), native (the addon), cli (the real
// bin). Forked processes, so that a crash in native code names the file it happened in.
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: 'test/temporary-folder.ts',
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
