// Scores per checkpoint: values and intervals that leave the picture are marked there.
import { expect, it } from 'vitest';
import { scoreFigures } from '../../../lib/report/figures/scores.js';
import { resultId, type RunData } from '../../../lib/report/run-data.js';
import type { Interval } from '../../../lib/stats/quantile.js';
import { largeStudy } from './large-study.js';

const study = largeStudy();
const [view] = study.views;
const [{ checkpoints }] = study.manifest.series;

/** The study's scores, the first checkpoint's circuit with another faithfulness. */
function figureWith(estimate: number, low: number, high: number, more: Partial<Interval> = {}) {
  const evaluations = new Map(study.evaluations);
  for (const [id, evaluation] of study.evaluations) {
    evaluations.set(id, { ...evaluation, faithfulness: { estimate: 0.8, low: 0.7, high: 0.9 } });
  }
  const id = resultId(checkpoints[0], view);
  evaluations.set(id, { ...evaluations.get(id)!, faithfulness: { estimate, low, high, ...more } });
  const data: RunData = { ...study, evaluations };
  const [{ caption, picture, table }] = scoreFigures(data, view);
  const arrowheads = picture!.body.match(/<path [^>]*rotate\(180\)/g) ?? [];
  return { caption, table, arrowheads: arrowheads.length, body: picture!.body };
}

it('says nothing of a range where every value lies in it', () => {
  const { caption, arrowheads } = figureWith(0.5, -0.4, 1.7);
  expect(caption).not.toMatch(/arrowheads/);
  expect(arrowheads).toBe(0);
});

it('marks values and intervals beyond the range, and keeps them in the table', () => {
  const { caption, table, arrowheads, body } = figureWith(-1.29, -2.42, 0.5);
  expect(caption).toContain('drawn between −0.5 and 1.75: arrowheads');
  expect(arrowheads).toBe(1);
  expect(body).toContain('faithfulness −1.29 [−2.42, 0.50]');
  const row = table.rows.find(({ checkpoint }) => checkpoint === checkpoints[0])!;
  expect([row['faithfulness'], row['faithfulness_low']]).toEqual([-1.29, -2.42]);
});

it('says of how many checkpoints resamples have no faithfulness, and shows no interval for them', () => {
  expect(figureWith(0.5, 0.4, 0.6).caption).not.toMatch(/undefined/);
  const [low, high] = [null, null] as unknown as [number, number];
  const { caption, table } = figureWith(0.5, low, high, { undefinedResamples: 70 });
  expect(caption).toContain(
    'Of one checkpoint faithfulness is undefined in some resamples of the pairs (70 at',
  );
  const row = table.rows.find(({ checkpoint }) => checkpoint === checkpoints[0])!;
  expect([row['faithfulness'], row['faithfulness_low']]).toEqual([0.5, null]);
});

it('says on how many pairs, and how sure the intervals are', () => {
  const { caption, table } = figureWith(0.5, 0.4, 0.6);
  expect(caption).toContain('on 64 pairs');
  expect(caption).toContain('95 % intervals over pairs: the bootstrap’s, Wilson’s of shares');
  expect(table.rows[0]).toMatchObject({ pairs: 64, confidence: 0.95 });
});

it('shows no KL divergence of a model from itself', () => {
  const evaluations = new Map(
    [...study.evaluations].map(([id, one]) => [id, { ...one, metric: 'kl', pairs: 1 }]),
  );
  const [{ caption, picture, table }] = scoreFigures({ ...study, evaluations }, view);
  expect(caption).toMatch(/^Share of right answers on 1 pair, /);
  expect(caption).toContain('The kl of a model from itself is 0 and left out.');
  expect(picture!.body).not.toMatch(/>↑ kl</);
  expect(picture!.body).toMatch(/>↑ share right</);
  expect(table.columns.map(({ key }) => key)).not.toContain('metric');
});
