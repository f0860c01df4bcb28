// Failure modes: arithmetic spans, loops, form, answers found and lost, rates and flips.
import { describe, expect, it } from 'vitest';
import {
  analyzeSample,
  checkArithmetic,
  findFlips,
  findLoop,
  formProblemsOf,
  summarizeFailures,
  tokensUntil,
  type SampleAnalysis,
} from '../../../lib/failures/index.js';
import { wilsonInterval } from '../../../lib/stats/index.js';

const judged = (text: string, modulus?: number): [number, string[]] => {
  const { checked, wrong } = checkArithmetic(text, modulus);
  return [checked, wrong.map((span) => span.text)];
};

describe('checkArithmetic', () => {
  it.each<[string, number, string[]]>([
    ['3+4*2=11', 1, []],
    ['3+4*2=14', 1, ['3+4*2=14']],
    ['so (3+4)*2 = 14.', 1, []],
    ['12 - 3 - 4 = 5 and 7 * 8 = 54', 2, ['7 * 8 = 54']],
    ['1,200 + 34.5 = 1,234.5', 1, []],
    ['1,200 + 34.5 = 1,234', 1, ['1,200 + 34.5 = 1,234']],
    ['0.1 + 0.2 = 0.3', 1, []],
    ['10/3 = 3.33', 1, []],
    ['10/3 = 3.34', 1, ['10/3 = 3.34']],
    ['10/4 = 2', 1, ['10/4 = 2']],
    ['2 \\times 3 = 6, 6 \u00F7 4 = 1.5, 5 \u2212 7 = -2', 3, []],
    ['\\frac{1}{2} + \\frac{1}{3} = \\frac{5}{6}', 1, []],
    ['$9 * $2 = $18', 1, []],
    ['16 - 3 - 4 = <<16-3-4=9>>9 eggs', 1, []],
    ['3 + 4 = 7 + 2 = 9', 2, []],
    ['3 + 4 = 5 + 2 = 7', 2, []],
    ['3 + 4 = 8 = 2 * 4', 2, ['3 + 4 = 8']],
    ['3 x 4 = 12 and 3x4=13', 2, ['3*4=13']],
    ['20% * 50 = 10', 1, []],
    ['2^3 + 3^2 = 17', 1, []],
    ['5/0 = 0', 0, []],
    ['2x + 3 = 7', 0, []],
    ['x = 3 + 4 = 7', 1, []],
    ['n - 3 - 1 = 5', 0, []],
    ['we get -3 - 1 = -4', 1, []],
    ['3 + 4 = 7x', 0, []],
    ['3 + 4 = 7 + x', 0, []],
    ['a+3+4=7', 0, []],
    ['3 = 3', 0, []],
    ['x = 5', 0, []],
    ['3 + 4 =\n8', 0, []],
    ['3 + = 4', 0, []],
    ['((3+4) = 7', 0, []],
    ['5! + 1 = 121', 0, []],
    ['=====', 0, []],
    ['2^99999 + 1 = 3', 0, []],
    ['12:30 + 5 = 12:35', 1, ['30 + 5 = 12']],
  ])('%s', (text, checked, wrong) => {
    // A clock is beyond it: listed so that nobody is surprised.
    expect(judged(text)).toEqual([checked, wrong]);
  });

  it('counts modulo where the task does', () => {
    expect(judged('7+8=5\n5*3=5', 10)).toEqual([2, []]);
    expect(judged('7+8=5\n5*3=6', 10)).toEqual([2, ['5*3=6']]);
    expect(judged('7+8=5')).toEqual([1, ['7+8=5']]);
  });

  it('is quick on hostile text', () => {
    const start = performance.now();
    for (const piece of ['1+', '(', '1=', '=', '-', '1,000', '^9', '1+1=2 ', '\\frac{1}{2}']) {
      checkArithmetic(piece.repeat(20_000));
    }
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe('findLoop', () => {
  const repeat = (block: number[], times: number): number[] =>
    Array.from({ length: times }, () => block).flat();

  it('finds blocks that stand three times or more', () => {
    expect(findLoop([9, 8, ...repeat([1, 2, 3, 4, 5], 6), 7])).toEqual({
      start: 2,
      period: 5,
      repeats: 6,
    });
    expect(findLoop(repeat([4], 30))).toEqual({ start: 0, period: 1, repeats: 30 });
    const long = Array.from({ length: 100 }, (_, index) => index);
    expect(findLoop(repeat(long, 3))).toMatchObject({ period: 100, repeats: 3 });
  });

  it('leaves short and double repetitions alone', () => {
    expect(findLoop(repeat([1], 20))).toBeUndefined();
    expect(
      findLoop(
        repeat(
          Array.from({ length: 40 }, (_, i) => i),
          2,
        ),
      ),
    ).toBeUndefined();
    expect(findLoop([])).toBeUndefined();
  });
});

it('names what is wrong with the form', () => {
  expect(formProblemsOf('\\boxed{3}')).toEqual([]);
  expect(formProblemsOf('it is 3')).toEqual(['no-answer']);
  expect(formProblemsOf('<think>a')).toEqual(['no-answer', 'open-thought']);
  expect(formProblemsOf('\\boxed{3} \\boxed{4')).toEqual(['unbalanced-box']);
  expect(formProblemsOf('\\boxed{3} \\boxed{}')).toEqual(['empty-box']);
  expect(formProblemsOf('\\boxed{3} \\boxed{4}')).toEqual(['several-boxes']);
  expect(formProblemsOf('<think>\\boxed{3}</think>\\boxed{4}')).toEqual([]);
});

/** One token per character. */
const decode = (tokens: readonly number[]): string => String.fromCodePoint(...tokens);
function sample(text: string, answer = '5', finish: 'stop-token' | 'length' = 'stop-token') {
  const tokens = Array.from(text, (char) => char.codePointAt(0)!);
  return analyzeSample({ text, tokens, finish, answer, decode });
}

describe('analyzeSample', () => {
  it('counts tokens to the answer', () => {
    expect(sample('<think>2+3=5</think>\\boxed{5} done')).toMatchObject({
      answer: '5',
      source: 'boxed',
      correct: true,
      answerTokens: 29,
      firstCorrectTokens: 29,
      lost: false,
      truncated: false,
      loop: null,
      equations: 1,
      falseEquations: 0,
      form: [],
    });
    expect(tokensUntil(0, [97], decode)).toBe(0);
  });

  it('keeps the letter of a choice, which is what votes are counted by', () => {
    const choices = ['12 m', '24 m', '36 m'];
    const answers = [
      '\\boxed{B}',
      'The answer is (b).',
      'The answer is B) 24 m.',
      '\\boxed{24 m}',
    ].map((text) => {
      const tokens = Array.from(text, (char) => char.codePointAt(0)!);
      return analyzeSample({ text, tokens, finish: 'stop-token', answer: 'B', choices, decode });
    });
    expect(answers.map(({ correct }) => correct)).toEqual([true, true, true, true]);
    expect(answers.map(({ answer }) => answer)).toEqual(['B', 'B', 'B', '24 m']);
  });

  it('sees a right answer that was given up', () => {
    const lost = sample('<think>the answer is 5. No.</think>\\boxed{6}');
    expect(lost).toMatchObject({ correct: false, lost: true, firstCorrectTokens: 22 });
    expect(sample('\\boxed{6}')).toMatchObject({ lost: false, firstCorrectTokens: null });
  });

  it('sees truncation and missing answers', () => {
    expect(sample('<think>2+2=5', '5', 'length')).toMatchObject({
      answer: null,
      correct: false,
      truncated: true,
      answerTokens: null,
      falseEquations: 1,
      falseSpans: [{ text: '2+2=5', value: '4' }],
      form: ['no-answer', 'open-thought'],
    });
    expect(sample('')).toMatchObject({ answer: null, answerTokens: null });
  });
});

describe('summaries', () => {
  const right = sample('\\boxed{5}');
  const wrong = sample('2+2=5 so \\boxed{6}');
  const options = { resamples: 500, seed: 1 };

  it('gives rates with intervals, and changes on the same problems', () => {
    const before: SampleAnalysis[][] = [[right, right], [right, right]]; // prettier-ignore
    const after: SampleAnalysis[][] = [[right, wrong], [wrong, wrong]]; // prettier-ignore
    const { modes, falseEquationShare } = summarizeFailures(after, before, options);
    // The bootstrap's lower bound is 0.5, but two of two would have Wilson's.
    const { rate } = modes['false-arithmetic'];
    expect(rate).toMatchObject({ estimate: 0.75, high: 1 });
    expect(rate.low).toBeCloseTo(wilsonInterval(2, 2).low, 12);
    expect(modes['false-arithmetic'].change?.estimate).toBe(0.75);
    expect(modes.truncated).toMatchObject({ rate: { estimate: 0 }, change: { estimate: 0 } });
    expect(falseEquationShare).toEqual({ estimate: 1, low: 1, high: 1 });
    expect(summarizeFailures(before, undefined, options).modes.loop.change).toBeUndefined();
    expect(summarizeFailures(before, undefined, options).falseEquationShare).toBeNull();
  });

  it('gives tokens to the answer with intervals over the problems that have one', () => {
    const long = sample('I think that it is \\boxed{5}');
    const none = sample('no idea');
    const [short, longer] = [right, long].map(({ answerTokens }) => answerTokens!);
    expect(longer).toBeGreaterThan(short);
    const samples: SampleAnalysis[][] = [[right, long], [long, none], [none, none]]; // prettier-ignore
    const { answerTokens, firstCorrectTokens } = summarizeFailures(samples, undefined, options);
    expect(answerTokens).toEqual({
      estimate: (short + 2 * longer) / 3,
      low: (short + longer) / 2,
      high: longer,
    });
    expect(firstCorrectTokens).toEqual(answerTokens);
    const silent = summarizeFailures([[none], [none]], undefined, options);
    expect(silent).toMatchObject({ answerTokens: null, firstCorrectTokens: null });
  });

  it('lists flips in both directions with their texts', () => {
    const side = (analysis: SampleAnalysis, text: string) => ({ analysis, text });
    const flips = findFlips(
      ['p', 'q'],
      [[side(right, 'r')], [side(wrong, 'w')]],
      [[side(wrong, 'w')], [side(right, 'r')]],
    );
    expect(flips).toEqual([
      { problem: 'p', sample: 0, direction: 'right-to-wrong', before: { answer: '5', text: 'r' }, after: { answer: '6', text: 'w' } },
      { problem: 'q', sample: 0, direction: 'wrong-to-right', before: { answer: '6', text: 'w' }, after: { answer: '5', text: 'r' } },
    ]); // prettier-ignore
  });
});
