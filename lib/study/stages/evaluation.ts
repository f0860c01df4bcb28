// Stage `evaluation`: how well a checkpoint does on the pairs, and how much of that its circuit
// keeps (faithfulness). A journal keeps finished pairs.

import { dirname, join } from 'node:path';
import { Sweep } from '../../ablation-sweep.js';
import type { Metric } from '../../attribution.js';
import { evaluateCircuits } from '../../circuit-evaluation.js';
import { writeWholeJournal } from '../../circuit-values.js';
import { readScoreFile } from '../../formats/score-file.js';
import type { Model } from '../../model.js';
import type { TokenizedPair } from '../../pairs.js';
import { bootstrapMean, bootstrapShare, type Interval } from '../../stats/index.js';
import type { Circuit } from '../../circuit/circuit.js';
import { pathExists } from '../../path-kinds.js';
import { pairsKey } from '../facts.js';
import { placeId, places, type StageContext, type StageKind } from '../stage.js';
import { circuitFile } from './circuit.js';
import { readResult, writeResult } from './files.js';
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

const evaluationFile = 'evaluation.json';
/** The values of every pair, as a journal: other intervals are made of them. */
const valuesFile = 'values.jsonl';

const resamples = 2000;

/** Begins the journal with the values of other settings; gives which pairs were right, where known. */
async function takeValues(journal: string, context: StageContext): Promise<number[] | undefined> {
  const [values] = await context.earlier(valuesFile);
  if (values === undefined) return undefined;
  if (!(await pathExists(journal))) await writeWholeJournal(values, journal);
  const path = join(dirname(values), evaluationFile);
  return (await readResult<EvaluationFile>(path, evaluationFormat)).correct;
}

/** [pairs], 1 where the whole model is right. */
async function correctPairs(
  model: Model,
  pairs: readonly TokenizedPair[],
  { metric, signal }: { metric: Metric; signal: AbortSignal | undefined },
): Promise<number[]> {
  const sweep = await Sweep.create(model, pairs, { metric, signal });
  try {
    const whole = [{ name: 'unablated', heads: [], factor: 1 }];
    const { correct } = await sweep.run(whole, { signal });
    return Array.from(correct);
  } finally {
    sweep.dispose();
  }
}

export const evaluationStage: StageKind = {
  kind: 'evaluation',
  title: 'score and faithfulness of every circuit',
  revision: 5,
  instances: (study, facts) =>
    places(study).map((place) => {
      const { checkpoint, task, form } = place;
      const { pairs } = facts.pairs.get(pairsKey(checkpoint.base, task, form))!;
      const count = pairs.length;
      const { excluded } = study;
      const { metric } = study.attribution;
      return {
        kind: 'evaluation',
        id: placeId(place),
        costly: {
          settings: { metric, excluded },
          needs: ['pairs', 'circuit'],
          id: placeId(place),
        },
        settings: {
          metric,
          excluded,
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
          diskBytes: 2000 + 50 * count,
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
    const journal = join(context.stateFolder, 'journal.jsonl');
    const known = await takeValues(journal, context);
    const { clean, corrupted, circuits } = await evaluateCircuits(model, pairs, [circuit], {
      metric,
      excluded: study.excluded,
      bootstrap,
      journal,
      signal,
      onProgress: ({ done, total }) => onProgress(total > 0 ? (0.8 * done) / total : 0),
    });
    const correct = known ?? (await correctPairs(model, pairs, { metric, signal }));
    const evaluation: EvaluationFile = {
      format: evaluationFormat,
      checkpoint,
      metric,
      pairs: pairs.length,
      clean: bootstrapMean(clean, bootstrap),
      corrupted: bootstrapMean(corrupted, bootstrap),
      accuracy: bootstrapShare(correct, bootstrap),
      faithfulness: circuits[0].interval,
      correct,
    };
    await writeWholeJournal(journal, join(folder, valuesFile));
    await writeResult(folder, evaluationFile, evaluation);
  },
};
