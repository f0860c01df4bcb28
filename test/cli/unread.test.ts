// Options that the rest of the line leaves without effect: refused before anything is loaded (none of
// the models named here exist), but not where they stand in a config file or the environment.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { base, headspark, newFolder, pairs } from './bin.js';

const onPairs = ['ablate', 'none', '--pairs', 'p.jsonl', '--heads', '0.1'];
const single = ['ablate', 'none', '--pairs', 'p.jsonl', '--single'];
const solve = ['ablate', 'none', '--generate', '--benchmark', 'demo', '--heads', '0.1'];
const evaluate = ['evaluate', 'none', '--benchmark', 'demo'];
const generate = ['generate', 'none', '--prompt', 'x'];
const circuit = ['circuit', 'none.json', '--top-n', '5'];
const heads = ['heads', 'none', '--prompts', 'p.jsonl'];

it.each<[string[], RegExp]>([
  [[...onPairs, '--samples', '4'], /--samples is of answers to a benchmark: add --generate, or le/],
  [[...onPairs, '--references=8'], /--references is of answers to a benchmark/],
  [[...onPairs, '--max-new-tokens', '64'], /--max-new-tokens is of answers to a benchmark/],
  [[...onPairs, '--temperature', '0'], /--temperature is of answers to a benchmark/],
  [[...onPairs, '--stop', 'x'], /--stop is of answers to a benchmark/],
  [[...onPairs, '--top-k', '3'], /--top-k says which heads of a diff: add --diff FILE, or leave/],
  [[...single, '--controls', '20'], /--controls is of random sets, against which single heads/],
  [[...single, '--match', 'layer'], /--match is of random sets/],
  [[...solve, '--metric', 'nll'], /--metric is of pairs, which are not read with --generate/],
  [[...solve, '--references', '8'], /--references gives means and other runs: add --ablation me/],
  [
    [...evaluate, '--positions', 'prompt'],
    /--positions acts on heads: name them with --heads, --heads-file or --diff/,
  ],
  [[...evaluate, '--heads', '0.1', '--factor', '1'], /--factor 1 changes nothing; give another/],
  [[...evaluate, '--group', 'emergent'], /--group says which heads of a diff/],
  [
    [...evaluate, '--top-p', '0.9'],
    /--top-p filters sampled tokens: add a --temperature above 0, or/,
  ],
  [
    [...generate, '--factor', '2'],
    /--factor acts on heads: name them with --heads, --heads-file or --diff, or leave it out/,
  ],
  [
    [...generate, '--log-probs'],
    /--log-probs is not printed: add --out FILE or --json, or leave it/,
  ],
  [[...generate, '--top-k', '2'], /--top-k says which heads of a diff: add --diff FILE, or leave/],
  [
    [...generate, '--temperature', '0', '--min-p', '0.1'],
    /--min-p filters sampled tokens: add a --temperature above 0, or leave it out/,
  ],
  [
    [...circuit, '--metric', 'kl'],
    /--metric is read to measure a circuit: add --evaluate or --cur/,
  ],
  [[...circuit, '--adapter', 'x'], /--adapter is of a model: add --model, or leave it out/],
  [
    ['diff', 'a.json', 'b.json', '--ranking', 'signed'],
    /--ranking orders selected edges: add --to/,
  ],
  [[...heads, '--effects'], /--effects is of pairs: leave it out with --prompts/],
  [[...heads, '--ablation', 'mean'], /--ablation is of --effects, which needs pairs/],
  [[...heads, '--draw-prompts', '2'], /--draw-prompts says of which prompts --draw draws/],
  [
    ['attribute', 'none', '--pairs', 'p.jsonl', '--method', 'eap', '--ig-steps', '5'],
    /--ig-steps is of integrated gradients, which --method eap does not take; leave it out\./,
  ],
  [
    ['attribute', 'none', '--pairs', 'p.jsonl', '--method', 'eap', '--metric', 'kl'],
    /--metric kl has the gradient 0 at the clean run, and --method eap takes gradients there alone/,
  ],
  [
    ['study', 'plan', 's.yaml', '--only', 'diff'],
    /--only is of study run; leave it out of study p/,
  ],
  [['study', 'run', 's.yaml', '--each'], /--each is of study plan and status/],
])('%j', async (args, message) => {
  const { code, stdout, stderr } = await headspark(args, { cwd: await newFolder() });
  expect(stderr).toMatch(message);
  expect(stderr).toContain('[ERR_HEADSPARK_INVALID_ARGUMENT]');
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect([code, stdout]).toEqual([1, '']);
});

it('lets a config file and the environment set what other runs read', async () => {
  const cwd = await newFolder();
  await writeFile(join(cwd, 'c.yaml'), 'samples: 4\ntop-k: 3\nablate: { temperature: 1 }\n');
  const args = ['ablate', base, '--pairs', pairs, '--count', '4', '--heads', '0.1'];
  const { code, stderr } = await headspark([...args, '--controls', '0', '--config', 'c.yaml'], {
    cwd,
    environment: { HEADSPARK_MAX_NEW_TOKENS: '64' },
  });
  expect(stderr).not.toContain('ERR_');
  expect(code).toBe(0);
});

it('refuses what only a file of pairs has beside generated ones', async () => {
  const args = ['attribute', base, '--task', 'arithmetic', '--skip-unfit'];
  const { code, stderr } = await headspark(args);
  expect(stderr).toContain('--skip-unfit is of a file of pairs: leave it out with --task.');
  expect(code).toBe(1);
});
