// What a user does wrong: one sentence on stderr that names it, a code, exit 1, nothing on stdout.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { base, headspark, newFolder, pairs, sft } from './bin.js';

const cases: [string, string[], RegExp, string][] = [
  ['no command', [], /no command is given/, 'INVALID_ARGUMENT'],
  [
    'an unknown command',
    ['atribute'],
    /"atribute" is no command. Did you mean attribute\?/,
    'INVALID_ARGUMENT',
  ],
  [
    'an unknown option',
    ['attribute', base, '--ig-step', '3'],
    /no option --ig-step. Did you mean --ig-steps\?/,
    'INVALID_ARGUMENT',
  ],
  [
    'an unknown switch',
    ['circuit', 's.json', '--no-prun'],
    /no option --no-prun\b/,
    'INVALID_ARGUMENT',
  ],
  [
    'an option of another command',
    ['doctor', '--top-n', '3'],
    /no option --top-n \(other commands have it\)/,
    'INVALID_ARGUMENT',
  ],
  [
    'an unknown choice',
    ['attribute', base, '--method', 'magic'],
    /--method "magic" is unknown: use eap,/,
    'INVALID_ARGUMENT',
  ],
  [
    'a number that is none',
    ['attribute', base, '--ig-steps', 'x'],
    /--ig-steps needs a whole number from 1 to 10000/,
    'INVALID_ARGUMENT',
  ],
  [
    'a fraction',
    ['attribute', base, '--threads', '1.5'],
    /--threads needs a whole number.*not 1.5/,
    'INVALID_ARGUMENT',
  ],
  ['a missing value', ['attribute', base, '--pairs'], /--pairs needs a value/, 'INVALID_ARGUMENT'],
  [
    'an option given twice',
    ['attribute', base, '--seed', '1', '--seed', '2'],
    /--seed is given more than once/,
    'INVALID_ARGUMENT',
  ],
  [
    'an action without its file',
    ['study', 'plan'],
    /study plan takes one study file, got none/,
    'INVALID_ARGUMENT',
  ],
  ['no journals', ['merge'], /merge is missing an argument/, 'INVALID_ARGUMENT'],
  [
    'a missing argument',
    ['diff', 'a.json'],
    /diff is missing an argument. Usage: headspark diff/,
    'INVALID_ARGUMENT',
  ],
  [
    'an argument too many',
    ['circuit', 'a.json', 'b.json', '--top-n', '1'],
    /"b.json" is one argument too many/,
    'INVALID_ARGUMENT',
  ],
  [
    'no model there',
    ['attribute', './nowhere', '--pairs', pairs],
    /the model ".\/nowhere" is neither/,
    'FILE_NOT_FOUND',
  ],
  [
    'no pairs',
    ['attribute', base],
    /give the pairs with --pairs FILE or --task/,
    'INVALID_ARGUMENT',
  ],
  [
    'pairs that are not there',
    ['attribute', base, '--pairs', 'none.jsonl'],
    /none.jsonl/,
    'FILE_NOT_FOUND',
  ],
  [
    'generated positions of a metric without a continuation',
    ['ablate', base, '--pairs', pairs, '--heads', '0.1', '--positions', 'generated'],
    /--positions generated needs --metric nll, which has a continuation\./,
    'INVALID_ARGUMENT',
  ],
  ['no benchmark', ['evaluate', base], /say what to answer: --benchmark gsm8k/, 'INVALID_ARGUMENT'],
  [
    'an unknown benchmark',
    ['evaluate', base, '--benchmark', 'aime42'],
    /"aime42" is neither a file nor one of aime24,/,
    'FILE_NOT_FOUND',
  ],
  [
    'a benchmark that is not in the folder',
    ['evaluate', base, '--benchmark', 'gsm8k', '--data', 'nowhere'],
    /gsm8k is not in nowhere .*--data FOLDER/,
    'FILE_NOT_FOUND',
  ],
  [
    'pairs as a benchmark',
    ['evaluate', base, '--benchmark', pairs],
    /pairs-steps.jsonl:1: there is no "problem" or "question"/,
    'PAIR_FORMAT',
  ],
  [
    'a shard that is none',
    ['evaluate', base, '--benchmark', 'demo', '--shard', '3', '--journal', 'j'],
    /the shard "3" is not of the form I\/N/,
    'INVALID_ARGUMENT',
  ],
  [
    'a shard without a journal',
    ['evaluate', base, '--benchmark', 'demo', '--shard', '1/3'],
    /--shard needs --journal/,
    'INVALID_ARGUMENT',
  ],
  [
    'a top-p of 0',
    ['evaluate', base, '--benchmark', 'demo', '--top-p', '0'],
    /--top-p must be more than 0/,
    'INVALID_ARGUMENT',
  ],
  [
    'a negative temperature',
    ['evaluate', base, '--benchmark', 'demo', '--temperature', '-1'],
    /--temperature needs a number from 0, not -1/,
    'INVALID_ARGUMENT',
  ],
  [
    'a stop token that is none',
    ['evaluate', base, '--benchmark', 'demo', '--stop-token', 'x'],
    /--stop-token needs a whole number from 0/,
    'INVALID_ARGUMENT',
  ],
  [
    'a stop token that the model does not have',
    ['evaluate', base, '--benchmark', 'demo', '--stop-token', '9999999'],
    /the stop token 9999999 is not one of the model's, which run from 0 to \d+\./,
    'INVALID_ARGUMENT',
  ],
  [
    'such a stop token of a completion',
    ['generate', base, '--prompt', '1', '--stop-token', '9999999'],
    /headspark: the stop token 9999999 is not one of the model's/,
    'INVALID_ARGUMENT',
  ],
  [
    'a min-p that leaves nothing',
    ['generate', base, '--prompt', '1', '--min-p', '3'],
    /--min-p must be less than 1\./,
    'INVALID_ARGUMENT',
  ],
  [
    'an empty set of heads',
    ['generate', base, '--prompt', '1', '--heads', ';0.0'],
    /set 1 of the 2 sets of heads in ";0\.0" is empty/,
    'INVALID_ARGUMENT',
  ],
  [
    'heads that are not in the model',
    ['evaluate', base, '--benchmark', 'demo', '--heads', '9.0'],
    /the model has no layer 9/,
    'INVALID_ARGUMENT',
  ],
  [
    'a Parquet file of another name',
    ['evaluate', base, '--benchmark', 'demo', '--parquet', 'x.csv'],
    /--parquet x.csv: the file name must end in .parquet/,
    'INVALID_ARGUMENT',
  ],
  [
    'a system prompt without the chat template',
    ['evaluate', base, '--benchmark', 'demo', '--template', 'plain', '--system', 'x'],
    /a system prompt needs the chat template, which the template "plain" leaves out/,
    'INVALID_ARGUMENT',
  ],
  [
    'a benchmark without --generate',
    ['ablate', base, '--benchmark', 'demo', '--heads', '0.1'],
    /--benchmark is answered by generating: add --generate/,
    'INVALID_ARGUMENT',
  ],
  [
    'a Parquet file of samples without --generate',
    ['ablate', base, '--pairs', pairs, '--heads', '0.1', '--parquet', 'x.parquet'],
    /--parquet holds the samples of a benchmark: add --generate/,
    'INVALID_ARGUMENT',
  ],
  [
    'files of a shard of an ablation',
    [
      ...['ablate', base, '--pairs', pairs, '--heads', '0.1'],
      ...['--shard', '1/2', '--journal', 'j', '--csv', 'a.csv'],
    ],
    /--shard writes its journal alone: give --csv to headspark merge/,
    'INVALID_ARGUMENT',
  ],
  [
    'pairs with --generate',
    ['ablate', base, '--generate', '--benchmark', 'demo', '--heads', '0.1', '--pairs', pairs],
    /--pairs is not read with --generate/,
    'INVALID_ARGUMENT',
  ],
  [
    'resampling from a single problem',
    [
      ...['ablate', base, '--generate', '--benchmark', 'demo', '--heads', '0.1'],
      ...['--count', '1', '--ablation', 'resample'],
    ],
    /resample ablation .* needs at least two problems and two references/,
    'INVALID_ARGUMENT',
  ],
  [
    'a journal that is not there',
    ['merge', 'none.jsonl'],
    /none.jsonl does not exist/,
    'FILE_NOT_FOUND',
  ],
  ['a journal that is none', ['merge', pairs], /is not a headspark journal/, 'FILE_CORRUPT'],
  [
    'no scores there',
    ['circuit', 'none.json', '--top-n', '5'],
    /none.json does not exist/,
    'FILE_NOT_FOUND',
  ],
  ['no selection', ['circuit', 'none.json'], /say which edges to select/, 'INVALID_ARGUMENT'],
  [
    'an output of an unknown kind',
    ['attribute', base, '--pairs', pairs, '--out', 'a.txt'],
    /must end in .json or .pt or .npy/,
    'INVALID_ARGUMENT',
  ],
  [
    'an output in no folder',
    ['attribute', base, '--pairs', pairs, '--out', 'no/a.json'],
    /the folder no does not exist/,
    'FILE_WRITE',
  ],
  [
    'nothing to ablate',
    ['ablate', base, '--pairs', pairs],
    /say what to ablate/,
    'INVALID_ARGUMENT',
  ],
  [
    'a factor that is no number',
    ['ablate', base, '--pairs', pairs, '--heads', '0.1', '--factor', '0,half'],
    /--factor "0,half": "half" is not a number; write for instance 0\.5 or 0,0\.5,2\./,
    'INVALID_ARGUMENT',
  ],
  [
    'a list of factors that ends in a comma',
    ['evaluate', base, '--benchmark', 'demo', '--heads', '0.1', '--factor', '0.5,'],
    /--factor "0\.5,": "" is not a number/,
    'INVALID_ARGUMENT',
  ],
  [
    'a factor twice',
    [
      ...['ablate', base, '--generate', '--benchmark', 'demo', '--heads', '0.1'],
      ...['--factor', '0.5,2,.50'],
    ],
    /the factor 0\.5 is given twice; give each one once/,
    'INVALID_ARGUMENT',
  ],
  [
    'a factor with which activations overflow',
    ['generate', base, '--prompt', '1', '--heads', '0.1', '--factor', '1e30'],
    /the factor must be a number from -1e6 to 1e6, .*, not 1e\+30/,
    'INVALID_ARGUMENT',
  ],
  [
    'factors one by one',
    ['ablate', base, '--pairs', pairs, '--heads', '0.1', '--factor', '0', '--factor', '2'],
    /--factor is given more than once/,
    'INVALID_ARGUMENT',
  ],
  [
    'a head that is not there',
    ['ablate', base, '--pairs', pairs, '--heads', '9.0'],
    /has no layer 9/,
    'INVALID_ARGUMENT',
  ],
  [
    'a diff that is not there',
    ['ablate', base, '--pairs', pairs, '--diff', 'd.json'],
    /d.json does not exist/,
    'FILE_NOT_FOUND',
  ],
  [
    'two plans',
    ['ablate', base, '--single', '--diff', 'd.json'],
    /--single and --diff, not both/,
    'INVALID_ARGUMENT',
  ],
];

describe('a mistake', () => {
  it.each(cases)('%s', async (_, args, message, code) => {
    const cwd = await newFolder();
    const { code: exit, stdout, stderr } = await headspark(args, { cwd });
    expect(stderr).toMatch(message);
    expect(stderr).toContain(`[ERR_HEADSPARK_${code}]`);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stdout).toBe('');
    expect(exit).toBe(1);
  });

  it('is an object on stdout with --json', async () => {
    const { code, stdout } = await headspark(['circuit', 'none.json', '--top-n', '5', '--json']);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string } };
    expect(error.code).toBe('ERR_HEADSPARK_FILE_NOT_FOUND');
    expect(error.message).toContain('none.json');
    expect(code).toBe(1);
  });

  it('shows its stack with --debug only', async () => {
    const { stderr } = await headspark(['circuit', 'none.json', '--top-n', '5', '--debug']);
    expect(stderr).toMatch(/\n\s+at /);
  });

  it('is remarked on where some pairs corrupt nothing, and names their line', async () => {
    const cwd = await newFolder();
    const same = '{"clean": [1, 2], "corrupted": [1, 2], "correct": 3, "incorrect": 4}\n';
    await writeFile(join(cwd, 'all.jsonl'), same);
    await writeFile(join(cwd, 'some.jsonl'), `${same.replace('[1, 2]', '[1, 5]')}${same}`);
    const all = await headspark(['attribute', base, '--pairs', 'all.jsonl'], { cwd });
    expect(all.code).toBe(1);
    expect(all.stderr).toMatch(/prompt of line 1 are the same, .*\[ERR_HEADSPARK_PAIR_FORMAT\]/);
    const some = await headspark(['attribute', base, '--pairs', 'some.jsonl'], { cwd });
    expect(some.code).toBe(0);
    expect(some.stderr).toContain(
      'note: 1 of 2 pairs have the same clean and corrupted prompt (the first on line 2)',
    );
  });

  it('is remarked on where a thinking option changes nothing, or refused', async () => {
    const cwd = await newFolder();
    await writeFile(
      join(cwd, 'p.jsonl'),
      '{"clean": [1, 2], "corrupted": [1, 5], "correct": 3, "incorrect": 4}\n',
    );
    const ids = await headspark(['attribute', base, '--pairs', 'p.jsonl', '--enable-thinking'], {
      cwd,
    });
    expect(ids.code).toBe(0);
    expect(ids.stderr).toContain(
      'the thinking option changes nothing: no pair of p.jsonl has "messages"',
    );
    const text = await headspark(['generate', base, '--prompt', '1+2=', '--no-enable-thinking']);
    expect(text.code).toBe(1);
    expect(text.stderr).toContain('--chat on the command line), or leave the thinking option out');
  });

  it('is remarked on where pairs repeat others', async () => {
    const cwd = await newFolder();
    const pair = '{"clean": [1, 2], "corrupted": [1, 5], "correct": 3, "incorrect": 4}\n';
    await writeFile(join(cwd, 'p.jsonl'), `${pair}${pair.replace('[1, 5]', '[1, 6]')}${pair}`);
    const { code, stderr } = await headspark(['attribute', base, '--pairs', 'p.jsonl'], { cwd });
    expect(code).toBe(0);
    expect(stderr).toContain('note: 1 of 3 pairs repeat an earlier one (the first on line 3)');
  });

  it('is remarked on before a study of such pairs and problems is planned or run', async () => {
    const cwd = await newFolder();
    const pair = '{"clean": [1, 2], "corrupted": [1, 5], "correct": 3, "incorrect": 4}\n';
    await writeFile(join(cwd, 'p.jsonl'), `${pair}${pair.replace('[1, 5]', '[1, 6]')}${pair}`);
    const problem = '{"problem": "1+1=", "answer": "2"}\n';
    await writeFile(join(cwd, 'b.jsonl'), problem + problem);
    const study = `study: twice
base: { model: ${base} }
series:
  - { label: SFT, regime: sft, checkpoints: [{ name: post, step: 120, model: ${sft} }] }
tasks: [{ name: sums, pairs: p.jsonl }]
selection: { rule: top-n, n: 40 }
benchmarks: [{ name: adding, file: b.jsonl, template: plain, suffix: none }]
sampling: { max-new-tokens: 4 }
`;
    await writeFile(join(cwd, 'study.yaml'), study);
    for (const action of [['plan'], ['run', '--only', 'pairs']]) {
      const { code, stderr } = await headspark(['study', ...action, 'study.yaml'], { cwd });
      expect(stderr.match(/^note: .*/gm)).toEqual([
        `note: ${join(cwd, 'p.jsonl')}: 1 of 3 pairs repeat an earlier one (the first on line 3): ` +
          'intervals and p-values count them as new ones.',
        `note: ${join(cwd, 'b.jsonl')}: 1 of 2 problems repeat an earlier one (the first is "1"): ` +
          'intervals and p-values count them as new ones.',
      ]);
      expect(code).toBe(0);
    }
  });

  it('names the line of a pair that is longer than the model, and can leave it out', async () => {
    const cwd = await newFolder();
    const pair = (length: number): string => {
      const ids = new Array<number>(length).fill(1);
      const corrupted = [...ids.slice(1), 2];
      return `${JSON.stringify({ clean: ids, corrupted, correct: 3, incorrect: 4 })}\n`;
    };
    await writeFile(join(cwd, 'p.jsonl'), `${pair(2)}${pair(100_000)}`);
    const refused = await headspark(['attribute', base, '--pairs', 'p.jsonl'], { cwd });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(
      /p.jsonl:2: the pair has 100000 tokens, but the model \d+ positions/,
    );
    const skipped = await headspark(['attribute', base, '--pairs', 'p.jsonl', '--skip-unfit'], {
      cwd,
    });
    expect(skipped.code).toBe(0);
    expect(skipped.stderr).toContain('note: 1 pair left out; the first: p.jsonl:2');
  });

  it('names the line of a pair that does not fit', async () => {
    const cwd = await newFolder();
    await writeFile(join(cwd, 'p.jsonl'), '{"clean": [1, 2], "corrupted": [1]}\n');
    const ended = await headspark(['attribute', base, '--pairs', 'p.jsonl'], { cwd });
    expect(ended.code).toBe(1);
    expect(ended.stderr).toMatch(/p.jsonl:1/);
  });
});
