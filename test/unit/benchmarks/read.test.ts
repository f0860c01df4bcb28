// Benchmark files: the known forms, hostile ones, and the shared data where it is there.
import { existsSync } from 'node:fs';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readBenchmark } from '../../../lib/benchmarks/index.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headspark-benchmarks-'));
});

async function file(name: string, content: string | Buffer): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

describe('readBenchmark', () => {
  it('reads the embedded demo', async () => {
    const demo = await readBenchmark('demo');
    expect(demo.problems.length).toBe(240);
    expect(demo.problems[0]).toEqual({
      id: '0',
      text: 'Compute left to right, mod 10: 6+8-2*7',
      answer: '4',
    });
    expect(demo).toMatchObject({ name: 'demo', suffix: 'none', modulus: 10 });
    expect((await readBenchmark('demo', { limit: 3 })).problems.length).toBe(3);
  });

  it('reads GSM8K, numbers, lists and options', async () => {
    const path = await file(
      'mixed.jsonl',
      [
        { question: 'q', answer: 'It is 1 + 1 = <<1+1=2>>2.\n#### 2,000' },
        { problem: 'p', answer: 27.0, id: 'x' },
        { question: 'c', choices: ['red', 'green'], answer: 1 },
        { question: 'c', options: ['red', 'green'], answer: 'a', id: 'y' },
        { question: 'c', options: ['red', 'green'], answer: 'red', id: 'z' },
      ]
        .map((line) => JSON.stringify(line))
        .join('\n'),
    );
    const { problems } = await readBenchmark(path);
    expect(problems.map(({ answer }) => answer)).toEqual(['2,000', '27', 'B', 'A', 'A']);
    expect(problems.map(({ id }) => id)).toEqual(['0', 'x', '2', 'y', 'z']);
    expect(problems[2].text).toBe('c\n\n(A) red\n(B) green');
  });

  it('puts GPQA options in an order that the question alone decides', async () => {
    const header =
      'Record ID,Question,Correct Answer,Incorrect Answer 1,Incorrect Answer 2,Incorrect Answer 3';
    const rows = Array.from(
      { length: 40 },
      (_, i) => `r${i},"What, exactly, is ${i}?",yes ${i},no,"n,o",none`,
    );
    const csv = await readBenchmark(await file('gpqa.csv', [header, ...rows].join('\n')));
    const again = await readBenchmark(
      await file('less.csv', [header, ...rows.slice(20)].join('\n')),
    );
    expect(csv.problems.slice(20)).toEqual(again.problems);
    const letters = new Set(csv.problems.map(({ answer }) => answer));
    expect([...letters].sort()).toEqual(['A', 'B', 'C', 'D']);
    for (const [index, { choices, answer }] of csv.problems.entries()) {
      expect(choices!['ABCD'.indexOf(answer)]).toBe(`yes ${index}`);
    }
  });

  it('takes the last box of a worked solution, as in the files of MATH', async () => {
    const solution = `${'We see. '.repeat(400)}Not $\\boxed{3}$ but $x = \\boxed{\\frac12}$.`;
    const path = await file('math.jsonl', JSON.stringify({ problem: 'p', level: '5', solution }));
    expect((await readBenchmark(path)).problems[0].answer).toBe('\\frac12');
  });

  it.each([
    ['no.jsonl', '', /holds no problems/],
    ['list.json', '{"a": 1}', /must hold a JSON list/],
    ['broken.json', '[{]', /not valid JSON/],
    ['broken.jsonl', '{"problem":"p","answer":"1"}\n{oops', /broken.jsonl:2: not valid JSON/],
    ['array.jsonl', '[1]', /:1: each problem must be a JSON object/],
    ['nothing.jsonl', '{"text":"x"}', /no "problem" or "question"; the keys are: text/],
    [
      'nullanswer.jsonl',
      '{"question":"x","answer":null}',
      /:1: "answer" is null; give it, or leave/,
    ],
    ['nullproblem.jsonl', '{"problem":null,"answer":"1"}', /:1: "problem" is null; give it, or/],
    ['noanswer.jsonl', '{"problem":"x"}', /:1: there is no "answer"/],
    ['empty.jsonl', '{"problem":" ","answer":"1"}', /"problem" must be text that is not empty/],
    ['emptyanswer.jsonl', '{"problem":"x","answer":" "}', /"answer" is empty/],
    ['object.jsonl', '{"problem":"x","answer":{}}', /must be text or a number/],
    ['rounded.jsonl', '{"problem":"x","answer":12345678901234567890}', /beyond 2\^53; write it as/],
    ['long.jsonl', `{"problem":"${'x'.repeat(100_001)}","answer":"1"}`, /100001 characters/],
    ['essay.jsonl', `{"problem":"x","answer":"${'x'.repeat(3000)}"}`, /is a text and no answer/],
    [
      'ids.jsonl',
      '{"problem":"x","answer":"1","id":1}\n{"problem":"y","answer":"1","id":"1"}',
      /:2: the id "1" is also that of line 1/,
    ],
    ['one.jsonl', '{"problem":"x","answer":"A","choices":["a"]}', /2 to 10 texts/],
    ['same.jsonl', '{"problem":"x","answer":"A","choices":["a","a"]}', /two options are the same/],
    ['letter.jsonl', '{"problem":"x","answer":"C","choices":["a","b"]}', /neither a letter/],
    ['twice.csv', 'problem,problem\na,b', /two columns are named "problem"/],
    ['short.csv', 'problem,answer\na', /the row has 1 fields, the header 2/],
    ['quote.csv', 'problem,answer\n"a,b', /a quoted field is never closed/],
    [
      'gpqa-short.csv',
      'Question,Correct Answer,Incorrect Answer 1\na,b,c',
      /"Incorrect Answer 2" must be text/,
    ],
  ])('refuses %s', async (name, content, message) => {
    const path = await file(name, content);
    await expect(readBenchmark(path)).rejects.toMatchObject({ code: 'ERR_HEADSPARK_PAIR_FORMAT' });
    await expect(readBenchmark(path)).rejects.toThrow(message);
  });

  it('refuses what is not UTF-8, and names what is missing', async () => {
    const path = await file('latin.jsonl', Buffer.from([0x7b, 0xff, 0x7d]));
    await expect(readBenchmark(path)).rejects.toThrow(/not UTF-8/);
    await expect(readBenchmark('aime24', { folder })).rejects.toThrow(
      /aime24 is not in .* \(looked for aime24.jsonl/,
    );
    await expect(readBenchmark('aime99')).rejects.toThrow(/neither a file nor one of aime24/);
    await expect(readBenchmark('toString')).rejects.toThrow(/neither a file nor one of/);
  });
});

const shared = process.env['HEADSPARK_SHARED'] ?? '../shared';
describe.skipIf(!existsSync(join(shared, 'data', 'math500.json')))(
  'the shared data (skipped where ../shared is absent)',
  () => {
    it.each([
      ['aime24', 30, '204'],
      ['aime25', 30, '70'],
      ['amc23', 40, '27'],
      ['math500', 500, '\\left( 3, \\frac{\\pi}{2} \\right)'],
      ['gsm8k', 1319, '18'],
    ])('%s', async (name, count, answer) => {
      const { problems } = await readBenchmark(name, { folder: join(shared, 'data') });
      expect(problems.length).toBe(count);
      expect(problems[0].answer).toBe(answer);
    });
  },
);
