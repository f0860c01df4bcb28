// What a user of the library meets first says what it is: every exported type of these files, and every
// function.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { packageRoot } from '../../lib/version.js';

const files = [
  ...[
    'model',
    'attribution',
    'circuit-diff',
    'diff-report',
    'ablation',
    'ablation-sweep',
    'evaluation',
  ],
  ...[
    'generation',
    'generation-types',
    'generate',
    'logits',
    'prompts',
    'pairs',
    'native',
    'doctor',
  ],
  ...['head-activations', 'head-effects', 'head-properties', 'circuit-evaluation', 'heads/types'],
  ...[
    'circuit/circuit',
    'circuit/score-table',
    'circuit/select',
    'benchmarks/types',
    'stats/bootstrap',
  ],
  ...['diff/circuit-diff', 'diff/bootstrap-diff', 'diff/null-diff', 'ablation/types'],
  ...[
    'evaluation/types',
    'evaluation/evaluate',
    'study/run-study',
    'study/plan-study',
    'study/model-pool',
  ],
  ...[
    'study/slurm/submit',
    'study/slurm/status',
    'report/write-report',
    'report/watch',
    'demo/run-demo',
  ],
];
const declaration = /^export (?:abstract )?(?:interface|type|class|(?:async )?function\*?) \w+/;

it.each(files)('lib/%s.ts', (name) => {
  const lines = readFileSync(join(packageRoot, 'lib', `${name}.ts`), 'utf8').split('\n');
  const bare = lines.filter(
    (line, index) => declaration.test(line) && !lines[index - 1].endsWith('*/'),
  );
  expect(bare).toEqual([]);
});
