// Which correlations of properties with the harm of ablation look certain in the report.
import { expect, it } from 'vitest';
import type { HeadCorrelation } from '../../../lib/heads/correlation.js';
import type { HeadProfile } from '../../../lib/heads/profile.js';
import { profileFigures } from '../../../lib/report/figures/head-properties.js';
import { largeHeads } from './large-heads.js';

const [{ profile }] = largeHeads().heads;

/** How many dots are filled and how many are open where one property alone was tested. */
function dotsWith(adjusted: number, low: number, high: number): { full: number; open: number } {
  const row: HeadCorrelation = {
    property: 'digits',
    points: 270,
    result: {
      ...profile!.correlations![0].result!,
      rho: { estimate: (low + high) / 2, low, high },
    },
    adjusted,
    withinLayers: null,
  };
  const one: HeadProfile = { ...profile!, correlations: [row] };
  const figures = profileFigures(one, { slug: 'x', title: 'x' });
  const { body } = figures.find(({ id }) => id === 'head-correlations-x')!.picture!;
  const count = (fill: string): number =>
    [...body.matchAll(new RegExp(`<g [^>]*fill="var\\(--${fill}\\)"[^>]*>(.*?)</g>`, 'gs'))]
      .map((match) => match[1].match(/<circle/g)?.length ?? 0)
      .reduce((sum, circles) => sum + circles, 0);
  return { full: count('emergent'), open: count('page') };
}

it('those that the test and the interval both tell from chance', () => {
  expect(dotsWith(0.01, 0.1, 0.3)).toEqual({ full: 1, open: 0 });
  expect(dotsWith(0.01, -0.3, -0.1)).toEqual({ full: 1, open: 0 });
  expect(dotsWith(0.2, 0.1, 0.3)).toEqual({ full: 0, open: 1 });
  // The test takes heads of one layer for independent, the interval does not.
  expect(dotsWith(0.01, -0.3, 0.05)).toEqual({ full: 0, open: 1 });
});
