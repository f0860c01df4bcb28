// Stage `evaluation`: how well a checkpoint does on the pairs, and how much of that its circuit
// keeps (faithfulness). A journal keeps finished pairs.

import { join } from 'node:path';
import { Sweep } from '../../ablation-sweep.js';
import { evaluateCircuits } from '../../circuit-evaluation.js';
import { readScoreFile } from '../../formats/score-file.js';
import { bootstrapMean, bootstrapShare, type Interval } from '../../stats/index.js';
import type { Circuit } from '../../circuit/circuit.js';
import { pairsKey } from '../facts.js';
import { placeId, places, type StageKind } from '../stage.js';
import { circuitFile } from './circuit.js';
import { writeResult } from './files.js';
import { neededPairs, pairsNeed } from './pairs.js';

export const evaluationFormat = 'headspark-evaluation';

export interface EvaluationFile {
  readonly format: typeof evaluationFormat;
  readonly checkpoint: string;
  readonly metric: string;
  readonly pairs: number;
  /** Mean metric of the whole model on clean and on corrupted prompts, pairs resampled. */
  readonly clean: Interval;
  readonly corrupted: Interval;
  /** Share of pairs whose right answer has the largest logit. */
  readonly accuracy: Interval;
  /** (circuit - empty) / (clean - empty); null bounds where too many resamples have none. */
  readonly faithfulness: Interval;
  readonly correct: number[];
}

const resamples = 2000;

export const evaluationStage: StageKind = {
  kind: 'evaluation',
  title: 'score and faithfulness of every circuit',
  revision: 4,
  instances: (study, facts) =>
    places(study).map((place) => {
      const { checkpoint, task, form } = place;
      const { pairs } = facts.pairs.get(pairsKey(checkpoint.base, task, form))!;
      const count = pairs.length;
      return {
        kind: 'evaluation',
        id: placeId(place),
        settings: {
          metric: study.attribution.metric,
          excluded: study.excluded,
          confidence: study.statistics.confidence,
          seed: study.seed,
          resamples,
          checkpoint: checkpoint.name,
        },
        needs: {
          pairs: pairsNeed(place, study),
          circuit: { kind: 'circuit', id: placeId(place), files: [circuitFile] },
        },
        weights: [checkpoint.name],
        checkpoint: checkpoint.name,
        work: {
          // Clean, corrupted, the circuit, the empty circuit, and the clean run of the sweep.
          forwards: 5 * count,
          backwards: 0,
          rate: 'circuits' as const,
          units: count,
          draws: 4 * resamples * count,
          memoryBytes: 0,
          diskBytes: 2000 + 2 * count,
        },
      };
    }),
  async run({ settings }, context) {
    const { study, signal, folder, onProgress } = context;
    const { metric } = study.attribution;
    const { checkpoint } = settings as { checkpoint: string };
    const model = await context.model(checkpoint);
    const pairs = await neededPairs(context);
    const circuit = (await readScoreFile(context.needed('circuit', circuitFile))) as Circuit;
    const bootstrap = { resamples, seed: study.seed, confidence: study.statistics.confidence };
    const { clean, corrupted, circuits } = await evaluateCircuits(model, pairs, [circuit], {
      metric,
      excluded: study.excluded,
      bootstrap,
      journal: join(context.stateFolder, 'journal.jsonl'),
      signal,
      onProgress: ({ done, total }) => onProgress(total > 0 ? (0.8 * done) / total : 0),
    });
    const sweep = await Sweep.create(model, pairs, { metric, signal });
    try {
      const whole = [{ name: 'unablated', heads: [], factor: 1 }];
      const { correct } = await sweep.run(whole, { signal });
      const evaluation: EvaluationFile = {
        format: evaluationFormat,
        checkpoint,
        metric,
        pairs: pairs.length,
        clean: bootstrapMean(clean, bootstrap),
        corrupted: bootstrapMean(corrupted, bootstrap),
        accuracy: bootstrapShare(correct, bootstrap),
        faithfulness: circuits[0].interval,
        correct: Array.from(correct),
      };
      await writeResult(folder, 'evaluation.json', evaluation);
    } finally {
      sweep.dispose();
    }
  },
};
