// The event loop of the process goes round while results are put together in JavaScript, and a signal
// ends that too.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as headspark from '../../lib/index.js';
import type { AttributionResult, JobOptions, JobProgress, Model, TokenizedPair } from '../../lib/index.js';
import { packageRoot } from '../../lib/version.js';

let model: Model;
let pairs: TokenizedPair[];
let table: AttributionResult;
beforeAll(async () => {
  model = await headspark.loadModel(join(packageRoot, 'lib', 'demo', 'models', 'base'));
  pairs = await headspark.generatePairs('arithmetic', model.tokenizer!, { count: 8 });
  table = await headspark.attribute(model, pairs, { igSteps: 1 });
});
afterAll(() => {
  model.dispose();
});

const many = { resamples: 100_000 };

/** Each takes the core some milliseconds, and JavaScript ten times as long as a turn after that. */
const computations: [string, (job: JobOptions) => Promise<unknown>][] = [
  [
    'headProperties',
    (job) =>
      headspark.headProperties(model, headspark.headPrompts(pairs, 'logit-diff'), {
        ...many,
        heads: headspark.parseHeads('0-1.*', model.info),
        ...job,
      }),
  ],
  [
    'circuitCurve',
    (job) => headspark.circuitCurve(model, pairs, table, { bootstrap: many, ...job }),
  ],
  [
    'diff',
    ({ signal, onProgress }) => {
      const inputs = ['a', 'b'].map((name) => ({ name, table }));
      const selection = { rule: 'top-n', n: 20 } as const;
      return headspark.diff(inputs, {
        ...{ ...many, selection, nullRepeats: 0 },
        ...{ signal, onProgress },
      });
    },
  ],
];

describe('results in turns', () => {
  it.each(computations)('of %s: a timer runs, and its signal ends them', async (_, compute) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const onProgress = ({ done, total }: JobProgress): void => {
      // The core is done: what is left is the JavaScript thread's.
      if (done === total) setTimeout(() => controller.abort(reason), 1);
    };
    await expect(compute({ signal: controller.signal, onProgress })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CANCELLED',
      cause: reason,
    });
  });
});
