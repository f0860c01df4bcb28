// Mistakes about how benchmarks are answered, in the study file of mistakes.test.ts.

import type { Mistake } from './heads-mistakes.js';

export const samplingMistakes: Record<string, Mistake> = {
  'a larger k than samples': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo }]\nsampling: { samples: 4, k: [1, 8] }\nstatistics:',
    ],
    line: 28,
    says: /sampling\.k\[2\]: pass@8 needs at least 8 samples of a problem, got samples: 4/,
  },
  'fewer samples in a benchmark than the k of the study': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo, sampling: { samples: 1, k: [2] } }]\nstatistics:',
    ],
    line: 27,
    says: /benchmarks\[1\]\.sampling\.k\[1\]: pass@2 needs at least 2 samples/,
  },
  'sampling without benchmarks': {
    change: ['statistics:', 'sampling: { samples: 4 }\nstatistics:'],
    line: 27,
    says: /sampling says how benchmarks are answered, and there are no benchmarks/,
  },
  'a wrong setting of sampling': {
    change: ['statistics:', 'sampling: { temperature: -1 }\nstatistics:'],
    line: 27,
    says: /sampling\.temperature: expected a number at least 0, got -1/,
  },
  'a stop token that is no id': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo, sampling: { stop-tokens: ["</s>"] } }]\nstatistics:',
    ],
    line: 27,
    says: /benchmarks\[1\]\.sampling\.stop-tokens\[1\]: expected a number, got "<\/s>"/,
  },
  'stop tokens below zero': {
    change: ['statistics:', 'sampling: { stop-tokens: [2, -1] }\nstatistics:'],
    line: 27,
    says: /sampling\.stop-tokens\[2\]: expected a number at least 0, got -1/,
  },
  'a stop token that no model has': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo }]\nsampling: { stop-tokens: [2, 99999] }\nstatistics:',
    ],
    line: 28,
    says: /sampling\.stop-tokens\[2\]: expected an id below \d+, the vocabulary of base, got 99999/,
  },
  'a stop token of a benchmark that no model has': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo, sampling: { stop-tokens: [99999] } }]\nstatistics:',
    ],
    line: 27,
    says: /benchmarks\[1\]\.sampling\.stop-tokens\[1\]: expected an id below \d+, the vocabulary/,
  },
};
