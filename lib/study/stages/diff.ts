// Stage `diff`: every post-trained checkpoint against its base: emergent, retained and vanished
// heads with bootstrap evidence, and the null diff of the base beside them.

import { edgeCount } from '../../circuit/shape.js';
import { diff, type DiffReport } from '../../circuit-diff.js';
import { automaticResamples } from '../../diff/bootstrap-diff.js';
import { headsOfGroup, readDiffReport, type HeadGroup } from '../../diff-report.js';
import { nullPValue } from '../../diff/null-diff.js';
import { resamplingWork } from '../../diff/resample.js';
import { readScoreFile } from '../../formats/score-file.js';
import { pairsKey, type Facts } from '../facts.js';
import {
  placeId,
  places,
  type Need,
  type Place,
  type StageContext,
  type StageKind,
  type StageWork,
} from '../stage.js';
import type { Study } from '../study.js';
import { scoresFile } from './attribution.js';
import { readResult, writeResult } from './files.js';
import { nullDiffFormat, type NullDiffFile } from './null-diff.js';
import { hasOpenings } from './openings.js';
import { baseOf } from './pairs.js';

export const diffFile = 'diff.json';
export const diffFormat = 'headspark-diff';

/** The work of resampling two tables of one graph. */
export function diffWork(place: Place, study: Study, facts: Facts): StageWork {
  const { checkpoint, task, form } = place;
  const { pairs } = facts.pairs.get(pairsKey(checkpoint.base, task, form))!;
  const { layers, heads } = facts.checkpoints.get(checkpoint.name)!.shape;
  const edges = edgeCount(facts.checkpoints.get(checkpoint.name)!.shape);
  const counts = [pairs.length, pairs.length];
  const { resamples } = study.statistics;
  const rounds = resamples === 'auto' ? automaticResamples(edges, counts) : resamples;
  return {
    forwards: 0,
    backwards: 0,
    rate: 'resampling',
    units: rounds * 2 * resamplingWork(edges, pairs.length),
    memoryBytes: 8 * edges * (pairs.length + 8) + 10 * rounds * layers * heads,
    diskBytes: 600 * layers * heads + 4096,
  };
}

/**
 * The diff of two stored attributions, base first, without a null diff. `ofOpenings`: pairs of both are
 * openings of the same problems, swapped.
 */
export async function diffOfResults(
  context: StageContext,
  results: readonly { role: string; name: string }[],
  ofOpenings = false,
): Promise<DiffReport> {
  const { study, signal, onProgress } = context;
  const inputs = [];
  for (const { role, name } of results) {
    inputs.push({ name, table: await readScoreFile(context.needed(role, scoresFile)) });
  }
  return diff(inputs, {
    ...(ofOpenings ? { pairing: 'paired' as const } : {}),
    selection: study.selection,
    seed: study.seed,
    confidence: study.statistics.confidence,
    resamples: study.statistics.resamples,
    nullRepeats: 0,
    signal,
    onProgress: ({ done, total }) => onProgress(done / total),
  });
}

/** What reads only which heads a diff puts into a group, most important first, needs no more of it. */
export const diffHeadsNeed = (id: string, group: HeadGroup): Need => ({
  kind: 'diff',
  id,
  part: {
    name: `the ${group} heads`,
    read: async (file) => headsOfGroup(await readDiffReport(file(diffFile)), group).heads,
  },
});

/** A report as it is without a null diff. */
function withoutNullDiff(report: DiffReport): DiffReport {
  const comparisons = report.comparisons.map(({ nullPValue: _, ...rest }) => rest);
  return { ...report, nullDiff: null, comparisons };
}

/** The null diff's numbers in a report that was made without one. */
export function withNullDiff(report: DiffReport, { nullDiff }: NullDiffFile): DiffReport {
  if (!nullDiff) return report;
  return {
    ...report,
    nullDiff,
    comparisons: report.comparisons.map((comparison) => ({
      ...comparison,
      nullPValue: nullPValue(comparison.counts.emergent, nullDiff),
    })),
  };
}

/** What decides a diff besides its scores. */
export function diffSettings(study: Study): Record<string, unknown> {
  const { confidence, resamples } = study.statistics;
  return { selection: study.selection, seed: study.seed, confidence, resamples };
}

export const diffStage: StageKind = {
  kind: 'diff',
  title: 'differences against the base',
  revision: 5,
  instances: (study, facts) =>
    places(study)
      .filter(({ checkpoint }) => checkpoint.base !== checkpoint.name)
      .map((place) => {
        const baseId = placeId({ ...place, checkpoint: baseOf(place) });
        const id = placeId(place);
        const { base, name: post } = place.checkpoint;
        const settings = {
          ...diffSettings(study),
          base,
          post,
          ...(hasOpenings(study, place) ? { openings: true } : {}),
        };
        return {
          kind: 'diff',
          id,
          settings,
          // Not the null diff: other splits resample nothing again.
          costly: { settings, needs: ['base', 'post'], id },
          needs: {
            base: { kind: 'attribution', id: baseId },
            post: { kind: 'attribution', id },
            noise: { kind: 'null-diff', id: baseId },
          },
          weights: [],
          checkpoint: place.checkpoint.name,
          work: diffWork(place, study, facts),
        };
      }),
  async run({ settings }, context) {
    const { base, post, openings } = settings as { base: string; post: string; openings?: true };
    const [earlier] = await context.earlier(diffFile);
    const results = [
      { role: 'base', name: base },
      { role: 'post', name: post },
    ];
    const report = earlier
      ? withoutNullDiff(await readResult<DiffReport>(earlier, diffFormat))
      : await diffOfResults(context, results, openings);
    const noise = await readResult<NullDiffFile>(
      context.needed('noise', 'null-diff.json'),
      nullDiffFormat,
    );
    await writeResult(context.folder, diffFile, withNullDiff(report, noise));
  },
};
