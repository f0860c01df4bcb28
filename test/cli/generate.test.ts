// `headspark generate` on an embedded checkpoint: streamed text, samples, variants, files, mistakes.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { base, headspark, newFolder, pairs, sft, type Ended } from './bin.js';

let cwd: string;
beforeAll(async () => {
  cwd = await newFolder();
});

const run = (...args: string[]): Promise<Ended> => headspark(['generate', sft, ...args], { cwd });

async function done(...args: string[]): Promise<Ended> {
  const ended = await run(...args);
  expect(ended.stderr).not.toContain('ERR_');
  expect(ended.code).toBe(0);
  return ended;
}

const question = ['--chat', '--prompt', '3 + 5 ='];

describe('generate', () => {
  it('streams one completion, the same text that --json gives', async () => {
    const { stdout } = await done(...question, '--max-new-tokens', '20');
    const json = JSON.parse((await done(...question, '--max-new-tokens', '20', '--json')).stdout);
    expect(json.completions).toHaveLength(1);
    const [completion] = json.completions;
    expect(completion).toMatchObject({ prompt: 0, heads: '', factor: 1, sample: 0, seed: 0 });
    expect(completion.tokens.length).toBeGreaterThan(0);
    expect(stdout.startsWith(`${completion.text}\n`)).toBe(true);
    expect(stdout).toMatch(/\d tokens? in .*tokens\/s/);
  });

  it("says that the model's positions end before the tokens that were asked for", async () => {
    const full = await done(...question, '--ignore-eos', '--max-new-tokens', '300', '--json');
    expect(JSON.parse(full.stdout).completions[0].finish).toBe('context');
    const sentence =
      /1 completion ended at the last of the model's 256 positions, before --max-new-/;
    expect(full.stderr).toMatch(sentence);
    expect((await done(...question, '--ignore-eos', '--max-new-tokens', '5')).stderr).not.toMatch(
      sentence,
    );
  });

  it('prints nothing with --quiet', async () => {
    const { stdout, stderr } = await done(...question, '--quiet');
    expect([stdout, stderr]).toEqual(['', '']);
  });

  it('writes samples of every prompt and variant, the same for any batch', async () => {
    const lines = [
      { id: 'first', prompt: '12+7' },
      { messages: [{ role: 'user', content: '4 + 4 =' }] },
      { prompt: [1, 2, 3] },
    ];
    await writeFile(
      join(cwd, 'p.jsonl'),
      lines.map((line) => `${JSON.stringify(line)}\n`).join('\n'),
    );
    const args = [
      ...['--prompts', 'p.jsonl', '--samples', '3', '--temperature', '0.9', '--top-p', '0.9'],
      ...['--heads', '0.0;1.1,2.0', '--factor', '0.5,-2', '--max-new-tokens', '15', '--seed', '7'],
    ];
    const { stdout } = await done(...args, '--out', 'many.jsonl');
    await done(...args, '--out', 'one.jsonl', '--max-rows', '1', '--threads', '1', '--quiet');
    const text = await readFile(join(cwd, 'many.jsonl'), 'utf8');
    expect(await readFile(join(cwd, 'one.jsonl'), 'utf8')).toBe(text);
    const rows = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows).toHaveLength(3 * (1 + 2 * 2) * 3);
    const common = { prompt: 0, id: 'first' };
    expect(rows[0]).toMatchObject({ ...common, heads: '', factor: 1, sample: 0, seed: 7 });
    expect(rows[3]).toMatchObject({ ...common, heads: 'a0.h0', factor: 0.5, sample: 0, seed: 7 });
    expect(rows[6]).toMatchObject({ ...common, heads: 'a0.h0', factor: -2, sample: 0, seed: 7 });
    expect(rows[14]).toMatchObject({ heads: 'a1.h1,a2.h0', factor: -2, sample: 2, seed: 9 });
    expect(rows[44]).toMatchObject({ prompt: 2, promptTokens: 3 });
    expect(stdout.match(/^# prompt /gm)).toHaveLength(45);
    expect(stdout).toMatch(/^# prompt first, a1\.h1,a2\.h0 × -2, sample 2, /m);
    // The names of ablate and evaluate.
    const zero = [...question, '--heads', '0.0', '--max-new-tokens', '2'];
    const titles = async (factor: string) =>
      (await done(...zero, '--factor', factor)).stdout.match(/^# [^,]+(?=,)/gm);
    expect(await titles('0,0.5')).toEqual(['# unablated', '# a0.h0 × 0', '# a0.h0 × 0.5']);
    expect(await titles('0.5')).toEqual(['# unablated', '# a0.h0']);
    expect(stdout.indexOf('# prompt first')).toBeLessThan(stdout.indexOf('# prompt 1'));
  });

  it('decodes the unablated text first, as without --heads', async () => {
    const args = [...question, '--max-new-tokens', '12'];
    const plain = JSON.parse((await done(...args, '--json')).stdout).completions;
    const heads = ['--heads', '1.1,0.0'];
    const both = JSON.parse((await done(...args, ...heads, '--json')).stdout).completions;
    expect(both).toHaveLength(2);
    expect(both[0]).toEqual(plain[0]);
    expect(both[1]).toMatchObject({ heads: 'a0.h0,a1.h1', factor: 0 });
    const titles = (await done(...args, ...heads)).stdout.match(/^# .*$/gm);
    expect(titles?.[0]).toMatch(/^# unablated, sample 0, /);
    expect(titles?.[1]).toMatch(/^# a0\.h0,a1\.h1, sample 0, /);
  });

  it('names the sets of a file, and nests the heads of a diff', async () => {
    await writeFile(join(cwd, 's.csv'), 'name,heads\nfirst two,"0.0,0.1"\nlast,2.*\n');
    const args = [...question, '--max-new-tokens', '6'];
    const file = ['--heads-file', 's.csv', '--factor', '0,2'];
    const { completions } = JSON.parse((await done(...args, ...file, '--json')).stdout);
    const names = ['first two × 0', 'first two × 2', 'last × 0', 'last × 2'];
    expect(completions.map(({ variant }: { variant: string }) => variant)).toEqual([
      'unablated',
      ...names,
    ]);
    const titles = (await done(...args, ...file)).stdout.match(/^# [^,]+(?=,)/gm);
    expect(titles).toEqual(['unablated', ...names].map((name) => `# ${name}`));
    const named = ['--heads', '0.0,0.1', '--factor', '2', '--json'];
    const [, gated] = JSON.parse((await done(...args, ...named)).stdout).completions;
    expect(gated).toEqual({ ...completions[2], variant: 'a0.h0,a0.h1' });

    const scores = async (model: string, out: string) => {
      const ended = await headspark(
        ['attribute', model, '--pairs', pairs, '--ig-steps', '2', '--out', out],
        { cwd },
      );
      expect(ended.code).toBe(0);
    };
    await scores(base, 'base.json');
    await scores(sft, 'sft.json');
    await headspark(['diff', 'base.json', 'sft.json', '--top-n', '30', '--out', 'd.json'], { cwd });
    const ofDiff = ['--diff', 'd.json', '--group', 'retained', '--top-k', '2', '--json'];
    const nested = JSON.parse((await done(...args, ...ofDiff)).stdout).completions;
    expect(nested.map(({ variant }: { variant: string }) => variant)).toEqual([
      'unablated',
      'retained top-1',
      'retained top-2',
    ]);
    expect(nested[2].heads).toContain(',');
  });

  it('writes the log probability of every token with --log-probs, also when it goes on', async () => {
    const args = [...question, '--max-new-tokens', '5', '--heads', '1.1', '--ignore-eos', '--json'];
    const { completions } = JSON.parse((await done(...args, '--log-probs')).stdout);
    const [whole, gated] = completions;
    for (const { logProbs } of completions) {
      expect(logProbs).toHaveLength(5);
      expect(Math.max(...logProbs)).toBeLessThanOrEqual(0);
    }
    expect(gated.logProbs).not.toEqual(whole.logProbs);
    const plain = JSON.parse((await done(...args)).stdout).completions;
    expect(plain[0]).toEqual({ ...whole, logProbs: undefined });
  });

  it('keeps what is finished in --journal, which it goes on from and leaves', async () => {
    const args = ['--prompts', 'asked.jsonl', '--max-new-tokens', '6', '--journal', 'own.journal'];
    await writeFile(join(cwd, 'asked.jsonl'), '{"prompt":"3 + 5 ="}\n{"prompt":"4 + 2 ="}\n');
    const { stdout } = await done(...args);
    const journal = join(cwd, 'own.journal');
    const lines = (await readFile(journal, 'utf8')).split('\n');
    expect(lines).toHaveLength(4); // the settings, two completions, and an end
    await writeFile(journal, `${lines.slice(0, 2).join('\n')}\n`);
    const again = await done(...args, '--out', 'asked.out.jsonl');
    expect(again.stderr).toContain('own.journal holds 1 of 2 completions; going on from there.');
    const texts = (text: string): string => text.slice(0, text.lastIndexOf('\n\n'));
    expect(texts(again.stdout)).toBe(texts(stdout));
    expect(await readFile(journal, 'utf8')).toBe(lines.join('\n'));
    await writeFile(journal, lines.join('\n').replace('"finish"', '"finisc"'));
    const mended = await done(...args);
    expect(mended.stderr).toMatch(/own\.journal:2: a line is damaged: 1 finished records are kept/);
    expect(texts(mended.stdout)).toBe(texts(stdout));
    const other = await run(...args, '--seed', '4');
    expect(other.stderr).toContain('seed (journal: 0, now: 4)');
    expect(other.code).toBe(1);
  });

  it('ends at a stop token, of the tokenizer or one that is named', async () => {
    const args = [...question, '--max-new-tokens', '40', '--json'];
    const completionOf = async (...more: string[]) =>
      JSON.parse((await done(...args, ...more)).stdout).completions[0];
    const { tokens } = await completionOf('--ignore-eos');
    const absent = [...tokens.keys()].find((id) => !tokens.includes(id));
    const [named, other] = [tokens[2], absent].map(String);
    const stopped = await completionOf(
      '--ignore-eos',
      '--stop-token',
      other,
      '--stop-token',
      named,
    );
    expect(stopped.finish).toBe('stop-token');
    expect(stopped.tokens).toEqual(tokens.slice(0, tokens.indexOf(tokens[2]) + 1));
    const whole = await completionOf();
    expect(await completionOf('--stop-token', other)).toEqual(whole);
    expect(whole.finish).toBe('stop-token');
  });

  it('ends at a stop text', async () => {
    const free = JSON.parse(
      (await done(...question, '--ignore-eos', '--max-new-tokens', '12', '--json')).stdout,
    );
    const whole: string = free.completions[0].text;
    const stop = whole.slice(2, 4);
    const { stdout } = await done(
      ...question,
      '--ignore-eos',
      '--stop',
      'zzz',
      '--stop',
      stop,
      '--json',
    );
    const [completion] = JSON.parse(stdout).completions;
    expect(completion.finish).toBe('stop-string');
    expect(completion.text).toContain(stop);
  });

  it.each([
    [[], /--prompt TEXT, or a JSONL file with --prompts FILE/],
    [['--prompt', 'a', '--prompts', 'b.jsonl'], /not both/],
    [['--prompt', 'a', '--samples', '2'], /--samples above 1 needs a --temperature above 0/],
    [['--prompt', 'a', '--heads', '0.0', '--heads-file', 'x.csv'], /--heads and --heads-file, not/],
    [['--prompt', 'a', '--heads-file', 'x.csv'], /x\.csv does not exist/],
    [['--prompt', 'a', '--top-p', '0'], /--top-p must be more than 0\./],
    [['--prompt', 'a', '--top-p', '1.5'], /--top-p needs a number/],
    [['--prompt', 'a', '--heads', '99.0'], /no layer 99/],
    [['--prompts', 'none.jsonl'], /none\.jsonl does not exist/],
    [['--prompts', 'bad.jsonl'], /bad\.jsonl:2: "prompt" must be a text or a list of token ids/],
    [['--prompts', 'empty.jsonl'], /empty\.jsonl has no prompts/],
    [['--prompts', 'broken.jsonl'], /broken\.jsonl:1: the line is not JSON/],
    [['--prompt', 'a', '--out', 'x.txt'], /--out x\.txt: the file name must end in \.jsonl/],
  ])('refuses %j in a sentence, with exit code 1', async (args, message) => {
    await writeFile(join(cwd, 'bad.jsonl'), '{"prompt": [1]}\n{"prompt": [-1]}\n');
    await writeFile(join(cwd, 'empty.jsonl'), '\n');
    await writeFile(join(cwd, 'broken.jsonl'), '{"prompt": \n');
    const { code, stderr } = await run(...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });

  it('stops on Ctrl-C and says so', async () => {
    const args = ['--chat', '--prompt', '1 + 1 =', '--samples', '3000', '--temperature', '1'];
    const { code, stderr } = await headspark(
      ['generate', sft, ...args, '--ignore-eos', '--max-new-tokens', '100'],
      { cwd, onStart: (child) => child.stdout?.once('data', () => child.kill('SIGINT')) },
    );
    expect(stderr).toContain('headspark: interrupted.');
    expect(code).toBe(130);
  });
});
