// What the comparison with random sets says in words: the rank and the interval, each for itself.
import { describe, expect, it } from 'vitest';
import {
  ablateSubject,
  verdictsOf,
  type AblationRow,
  type AblationTable,
} from '../../../lib/ablation/index.js';
import { parseHeads } from '../../../lib/head-gate.js';
import { fakeRunner, subjectOf } from './fake-runner.js';

interface Case {
  readonly sets?: number;
  /** Random sets that hurt as much. */
  readonly asHarmful?: number;
  readonly bounds: readonly [low: number, high: number];
  readonly worse?: 'lower' | 'higher';
  readonly confidence?: number;
}

function sentenceOf({ sets = 20, asHarmful = 0, bounds, worse = 'lower', ...rest }: Case): string {
  const [low, high] = bounds;
  const row = {
    name: 'a1.h0',
    kind: 'sets',
    factor: 0,
    change: { estimate: -4.103, low: -6, high: -2 },
    controls: {
      sets,
      change: { mean: -2.724, min: -3, max: -2 },
      rankPValue: (1 + asHarmful) / (sets + 1),
      difference: { estimate: -1.379, low, high },
    },
  } as AblationRow;
  const settings = {
    metric: 'logit-diff',
    worse,
    confidence: 0.95,
    factors: [0],
    ...rest,
  } as const;
  const [text] = verdictsOf([row], settings);
  return text;
}

/** The part between `ablating it` and the figures. */
const verdictOf = (of: Case): string =>
  /ablating it (.*): logit-diff changes/.exec(sentenceOf(of))![1];

describe('a verdict', () => {
  it.each<[Case, string]>([
    [
      { bounds: [-3, -1] },
      'hurts more than all 20 of its matched random sets, and the interval over pairs leaves out 0',
    ],
    [
      { sets: 40, asHarmful: 1, bounds: [-3, -1] },
      'hurts more than 39 of its 40 matched random sets, and the interval over pairs leaves out 0',
    ],
    [
      { bounds: [-3.346, 0.267] },
      'hurts more than all 20 of its matched random sets, but the interval over pairs holds 0, so that ' +
        'nothing is shown for other pairs',
    ],
    [
      { bounds: [NaN, NaN] },
      'hurts more than all 20 of its matched random sets, but one pair has no interval, so that ' +
        'nothing is shown for other pairs',
    ],
    [
      { sets: 8, bounds: [-3, -1] },
      'hurts more than its matched random sets do on average, but 8 are too few for a rank',
    ],
    [
      { asHarmful: 3, bounds: [-3, -1] },
      'hurts more than its matched random sets do on average, but 3 of 20 hurt as much',
    ],
    [{ asHarmful: 3, bounds: [-3, 1] }, 'is not shown to hurt more than its matched random sets'],
    [{ asHarmful: 19, bounds: [1, 3] }, 'hurts less than its matched random sets do on average'],
    [
      { asHarmful: 19, bounds: [-3, -1], worse: 'higher' },
      'hurts less than its matched random sets do on average',
    ],
    // 1 / 20 is no more than 1 - 0.95, which is 0.050000000000000044; with 0.9 it is the other way.
    [
      { sets: 19, bounds: [-1, 1] },
      'hurts more than all 19 of its matched random sets, but the interval over pairs holds 0, so that ' +
        'nothing is shown for other pairs',
    ],
    [
      { sets: 9, confidence: 0.9, bounds: [-3, -1] },
      'hurts more than all 9 of its matched random sets, and the interval over pairs leaves out 0',
    ],
  ])('of %j', (of, verdict) => {
    expect(verdictOf(of)).toBe(verdict);
  });

  it('carries the figures, and no interval where there is none', () => {
    expect(sentenceOf({ bounds: [-3.346, 0.267] })).toMatch(
      /: logit-diff changes by -4.1, with 20 random sets by -2.72 on average \(difference -1.38, 95 % interval -3.35 to 0.267; rank p = 0.0476\)$/,
    );
    expect(sentenceOf({ bounds: [NaN, NaN] })).toMatch(/\(difference -1.38; rank p = 0.0476\)$/);
  });
});

describe('of several sets', () => {
  const run = (plan: Parameters<typeof ablateSubject>[1]['plan']): Promise<AblationTable> =>
    ablateSubject(subjectOf(fakeRunner(10), 10), { plan, resamples: 200, factors: [0, 0.5] });
  const judged = ({ notes }: AblationTable): string[] =>
    notes.flatMap((note) => /^(\S+(?: top-\d)? × \S+): (?:ablating|scaling)/.exec(note)?.[1] ?? []);

  it('every one has a verdict where they are independent', async () => {
    const sets = [parseHeads('3.1,0.0'), parseHeads('0.0,0.1'), parseHeads('2.0')];
    expect(judged(await run({ kind: 'sets', sets }))).toEqual([
      'a0.h0,a3.h1 × 0',
      'a0.h0,a0.h1 × 0',
      'a2.h0 × 0',
      'a0.h0,a3.h1 × 0.5',
      'a0.h0,a0.h1 × 0.5',
      'a2.h0 × 0.5',
    ]);
  });

  it('the largest has one where they hold each other', async () => {
    const heads = parseHeads('3.1,3.2,1.0');
    expect(judged(await run({ kind: 'top-k', heads, k: 3 }))).toEqual([
      'heads top-3 × 0',
      'heads top-3 × 0.5',
    ]);
  });

  it('those whose layers have few other heads are named, with what gets further', async () => {
    const sets = [parseHeads('3.1'), parseHeads('0.0,1.1,2.0')];
    const plan = { kind: 'sets', sets } as const;
    const { notes } = await ablateSubject(subjectOf(fakeRunner(10), 10), { plan, resamples: 200 });
    expect(notes).toContain(
      'a3.h1: with 5 control sets a rank p-value cannot be below 0.167; the matching leaves no more',
    );
    expect(notes).toContain(
      'a3.h1: only 5 different control sets with as many heads in every layer exist, 20 were asked ' +
        'for; matching by write-norm takes heads of other layers too',
    );
  });
});
