// Mistakes about the random sets and references of `ablations` in the study file of
// mistakes.test.ts, whose plan of named heads is at line 26.
import type { Mistake } from './heads-mistakes.js';

const line = 26;

export const ablationMistakes: Record<string, Mistake> = {
  'random sets matched in what nobody measures': {
    change: ['controls: 2', 'match: layers'],
    line,
    says: /ablations\[1\]\.match: expected .*layer.*write-norm.*, got "layers"/,
  },
  'random sets for single heads': {
    change: ['heads: "0.0", controls: 2', 'single: true, match: write-norm'],
    line,
    says: /ablations\[1\]\.match: single heads are set against no random sets/,
  },
  'an ablation of an unknown checkpoint': {
    change: ['controls: 2', 'controls: 2, checkpoints: [SFT, tree]'],
    line,
    says: /ablations\[1\]\.checkpoints\[2\]: there is no post-trained checkpoint or series "tree"; did you mean "three"/,
  },
  'an ablation of the base': {
    change: ['controls: 2', 'controls: 2, checkpoints: [base]'],
    line,
    says: /there is no post-trained checkpoint or series "base"/,
  },
  'an ablation of no checkpoint': {
    change: ['controls: 2', 'controls: 2, checkpoints: last'],
    line,
    says: /ablations\[1\]\.checkpoints: expected final, all, or a list of names of checkpoints and series, got "last"/,
  },
  'references of an ablation on pairs': {
    change: ['controls: 2', 'ablation: mean, references: 8'],
    line,
    says: /ablations\[1\]\.references: references are the problems whose runs/,
  },
  'references of heads that are set to zero': {
    change: [
      '"0.0", controls: 2 }',
      '"0.0", references: 8, benchmarks: [a] }\nbenchmarks: [{ name: a, file: demo }]',
    ],
    line,
    says: /ablations\[1\]\.references: .*leave references out/,
  },
  'random sets of single heads': {
    change: ['heads: "0.0", controls: 2', 'single: true, controls: 2'],
    line,
    says: /ablations\[1\]\.controls: single heads are set against no random sets; leave controls out/,
  },
  'a number of heads of a group beside single heads': {
    change: ['heads: "0.0", controls: 2', 'single: true, top-k: 5'],
    line,
    says: /ablations\[1\]\.top-k: top-k says which heads of a group; leave top-k out/,
  },
  'a number of heads of a group beside named heads': {
    change: ['controls: 2', 'top-k: 5'],
    line,
    says: /ablations\[1\]\.top-k: top-k says which heads of a group; leave top-k out/,
  },
  'a factor twice, spelt differently': {
    change: ['controls: 2', 'factors: [0.5, 0, 0.50]'],
    line,
    says: /ablations\[1\]\.factors\[3\]: 0\.5 stands in the list before; leave one out/,
  },
  'nought twice, with two signs': {
    change: ['controls: 2', 'factors: [0, -0]'],
    line,
    says: /ablations\[1\]\.factors\[2\]: 0 stands in the list before/,
  },
  'more parts than variants': {
    change: ['controls: 2', 'controls: 2, parts: 5'],
    line,
    says: /ablations\[1\]\.parts: expected at most 4, the variants of ".*" on base, got 5/,
  },
  'more parts than single heads': {
    change: ['heads: "0.0", controls: 2', 'single: true, parts: 26'],
    line,
    says: /ablations\[1\]\.parts: expected at most 25, the variants of ".*" on base, got 26/,
  },
  'no part': {
    change: ['controls: 2', 'controls: 2, parts: 0'],
    line,
    says: /ablations\[1\]\.parts: expected a number at least 1, got 0/,
  },
  'parts of an ablation that answers benchmarks': {
    change: [
      '"0.0", controls: 2 }',
      '"0.0", parts: 2, benchmarks: [a] }\nbenchmarks: [{ name: a, file: demo }]',
    ],
    line,
    says: /ablations\[1\]\.parts: parts cut what is run on pairs, .*; leave parts out/,
  },
  'a task twice': {
    change: ['controls: 2', 'tasks: [sums, sums]'],
    line,
    says: /ablations\[1\]\.tasks\[2\]: "sums" stands in the list before/,
  },
  'a benchmark twice': {
    change: [
      '"0.0", controls: 2 }',
      '"0.0", benchmarks: [a, a] }\nbenchmarks: [{ name: a, file: demo }]',
    ],
    line,
    says: /ablations\[1\]\.benchmarks\[2\]: "a" stands in the list before/,
  },
  'a set of heads twice': {
    change: ['heads: "0.0"', 'heads: "0.0,1.1; 1.1, 0.0"'],
    line,
    says: /ablations\[1\]\.heads: the set of heads "1\.1, 0\.0" is named twice/,
  },
  'a number of samples twice': {
    change: [
      'statistics:',
      'benchmarks: [{ name: a, file: demo, sampling: { samples: 4, k: [2, 2, 4] } }]\nstatistics:',
    ],
    line: 27,
    says: /benchmarks\[1\]\.sampling\.k\[2\]: 2 stands in the list before/,
  },
};
