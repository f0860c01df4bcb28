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
  'random sets of single heads, counted': {
    change: ['heads: "0.0", controls: 2', 'single: true, controls: 2'],
    line,
    says: /ablations\[1\]\.controls: single heads are set against no random sets; leave controls out/,
  },
  'a number of single heads': {
    change: ['heads: "0.0", controls: 2', 'single: true, top-k: 3'],
    line,
    says: /ablations\[1\]\.top-k: every head is gated alone; leave top-k out/,
  },
  'a number of heads that are named': {
    change: ['controls: 2', 'top-k: 3'],
    line,
    says: /ablations\[1\]\.top-k: named sets are gated as they are; leave top-k out/,
  },
};
