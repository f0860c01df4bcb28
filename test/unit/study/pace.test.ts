// The time left of a run: right where stages take what the plan says, and soon right where they do not.
import { describe, expect, it } from 'vitest';
import { Pace, type PlannedStage } from '../../../lib/study/pace.js';

/** The stages of a study of ten checkpoints, planned seconds; attributions come first. */
const stages: PlannedStage[] = Array.from({ length: 10 }, () => [
  { kind: 'pairs', seconds: 0.05 },
  { kind: 'attribution', seconds: 9 },
  { kind: 'circuit', seconds: 0.05 },
  { kind: 'evaluation', seconds: 2.5 },
  { kind: 'samples', seconds: 12 },
]).flat();
stages.push(...Array.from({ length: 10 }, () => ({ kind: 'diff', seconds: 8 })));
stages.push(...[200, 200, 40, 40].map((seconds) => ({ kind: 'ablation', seconds })));
stages.push({ kind: 'samples', seconds: 150 });

interface Look {
  /** Of the planned seconds, 0 to 1. */
  readonly share: number;
  readonly left: number | undefined;
  readonly truth: number;
}

/** Plays a run whose stages take `took`, in steps of a tenth, and notes what is said on the way. */
function replay(took: (stage: PlannedStage) => number, measured = true): Look[] {
  let clock = 0;
  const pace = new Pace(stages, { measured, now: () => clock });
  let truth = stages.reduce((sum, stage) => sum + took(stage), 0);
  const looks: Look[] = [];
  for (const stage of stages) {
    pace.begin(stage);
    for (let step = 1; step <= 10; step++) {
      clock += took(stage) * 100;
      truth -= took(stage) / 10;
      pace.update(step / 10);
      looks.push({ share: pace.done / pace.total, left: pace.secondsLeft(), truth });
    }
    pace.end();
  }
  expect(pace.done).toBeCloseTo(pace.total, 6);
  expect(pace.secondsLeft()).toBeCloseTo(0, 9);
  return looks;
}

/** How many times too long or too short the worst word is, after a share of the plan. */
function worst(looks: readonly Look[], after: number): number {
  const errors = looks
    .filter(({ share, truth }) => share >= after && truth > 1)
    .map(({ left, truth }) => Math.max(left! / truth, truth / left!));
  expect(errors.length).toBeGreaterThan(30);
  return Math.max(...errors);
}

describe('the time left', () => {
  it('is the plan where the stages take what it says', () => {
    expect(
      worst(
        replay(({ seconds }) => seconds),
        0,
      ),
    ).toBeLessThan(1.001);
  });

  it('follows the share of planned seconds', () => {
    const looks = replay(({ seconds }) => 3 * seconds);
    const sum = stages.reduce((total, { seconds }) => total + seconds, 0);
    expect(looks[19].share).toBeCloseTo(9.05 / sum, 9);
  });

  it('adapts to a machine that is twice as slow as planned, or twice as fast', () => {
    const slow = replay(({ seconds }) => 2 * seconds);
    // After the first attribution and evaluation it is nearer to the truth than to the plan.
    expect(worst(slow, 0.012)).toBeLessThan(1.35);
    expect(worst(slow, 0.05)).toBeLessThan(1.12);
    const fast = replay(({ seconds }) => seconds / 2);
    expect(worst(fast, 0.05)).toBeLessThan(1.12);
  });

  it('does not carry what one kind takes too long over to the others for good', () => {
    // Only answers take three times as long; the other kinds are as planned.
    const looks = replay(({ kind, seconds }) => (kind === 'samples' ? 3 : 1) * seconds);
    expect(worst(looks, 0.2)).toBeLessThan(1.5);
    expect(worst(looks, 0.5)).toBeLessThan(1.3);
  });

  it('survives a stage that takes far longer than nothing', () => {
    const looks = replay(({ kind, seconds }) => (kind === 'circuit' ? 1 : seconds));
    expect(worst(looks, 0.05)).toBeLessThan(1.1);
  });

  it('is not said before anything was observed where no rate was measured', () => {
    const looks = replay(({ seconds }) => 40 * seconds, false);
    expect(looks[0].left).toBeUndefined();
    expect(worst(looks, 0.006)).toBeLessThan(1.01);
  });
});

describe('a stage that goes on from an earlier process', () => {
  it('is observed from where it goes on', () => {
    let clock = 0;
    const pace = new Pace(
      [
        { kind: 'ablation', seconds: 100 },
        { kind: 'ablation', seconds: 100 },
      ],
      { measured: true, now: () => clock },
    );
    pace.begin({ kind: 'ablation', seconds: 100 }, true);
    clock += 2000;
    pace.update(0.8);
    expect([pace.done, pace.stored]).toEqual([80, 80]);
    expect(pace.secondsLeft()).toBeCloseTo(120, 6);
    clock += 20_000;
    pace.update(1);
    pace.end();
    expect([pace.done, pace.stored]).toEqual([100, 80]);
    expect(pace.secondsLeft()).toBeCloseTo(100, 6);
  });

  it('says nothing of the pace where its result was there already', () => {
    let clock = 0;
    const stage = { kind: 'diff', seconds: 10 };
    const pace = new Pace([stage, stage], { measured: true, now: () => clock });
    pace.begin(stage);
    clock += 1;
    pace.end(false);
    expect([pace.done, pace.stored]).toEqual([10, 10]);
    expect(pace.secondsLeft()).toBeCloseTo(10, 9);
  });
});
