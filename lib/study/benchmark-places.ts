// Who answers which benchmark under which prompt form: the checkpoints alone, and the checkpoints
// with heads gated.

import { placeId, places } from './stage.js';
import {
  slug,
  type AblationSpec,
  type BenchmarkSpec,
  type Checkpoint,
  type ChosenCheckpoints,
  type PromptForm,
  type Study,
} from './study.js';

/** A checkpoint that answers a benchmark. */
export interface BenchmarkPlace {
  readonly spec: BenchmarkSpec;
  readonly checkpoint: Checkpoint;
  readonly form: PromptForm;
}

/** The same with heads gated. */
export interface GatedPlace extends BenchmarkPlace {
  readonly ablation: AblationSpec;
  readonly factor: number;
  /** Whose heads: the task of the diff; undefined where the plan names its heads. */
  readonly task?: string;
}

/** The last checkpoint of every series. */
export const finalNames = (study: Study): Set<string> =>
  new Set(study.series.map(({ checkpoints }) => checkpoints.at(-1)!.name));

function answers({ checkpoints }: BenchmarkSpec, checkpoint: Checkpoint, study: Study): boolean {
  if (typeof checkpoints !== 'string') return checkpoints.includes(checkpoint.name);
  if (checkpoints !== 'final') return checkpoints === 'all';
  return checkpoint.base === checkpoint.name || finalNames(study).has(checkpoint.name);
}

/** Every benchmark with every checkpoint that answers it, under every form. */
export function benchmarkPlaces(study: Study): BenchmarkPlace[] {
  return study.benchmarks.flatMap((spec) =>
    study.checkpoints
      .filter((checkpoint) => answers(spec, checkpoint, study))
      .flatMap((checkpoint) => spec.forms.map((form) => ({ spec, checkpoint, form }))),
  );
}

export const benchmarkId = ({ spec, checkpoint, form }: BenchmarkPlace): string =>
  [spec.name, checkpoint.name, form.name].map(slug).join('.');

/** Of all checkpoints those that an ablation or an entry of `heads` is for. */
export function chosenCheckpoints(chosen: ChosenCheckpoints, study: Study): Set<string> {
  if (chosen === 'final') return finalNames(study);
  const post = study.series.flatMap(({ checkpoints }) => checkpoints);
  if (chosen === 'all') return new Set(post.map(({ name }) => name));
  return new Set(
    chosen.flatMap((name) => {
      const own = post.filter((checkpoint) => checkpoint.name === name);
      const wanted = own.length > 0 ? own : post.filter(({ series }) => series === name);
      return wanted.map((checkpoint) => checkpoint.name);
    }),
  );
}

/** Post-trained checkpoints of an ablation with the tasks and forms that its heads come from. */
function headsFrom(
  ablation: AblationSpec,
  study: Study,
): { checkpoint: Checkpoint; form: string; task?: string }[] {
  const chosen = chosenCheckpoints(ablation.checkpoints, study);
  const wanted = (checkpoint: Checkpoint, form: string): boolean =>
    chosen.has(checkpoint.name) && (ablation.forms?.includes(form) ?? true);
  const all =
    ablation.what.kind === 'group'
      ? places(study).filter(({ task }) => ablation.tasks?.includes(task) ?? true)
      : study.checkpoints.flatMap((checkpoint) =>
          study.forms.map(({ name }) => ({ checkpoint, form: name })),
        );
  return all.filter(({ checkpoint, form }) => wanted(checkpoint, form));
}

/** Every ablation that answers benchmarks, with every checkpoint, form and factor. */
export function gatedPlaces(study: Study): GatedPlace[] {
  return study.ablations.flatMap((ablation) =>
    (ablation.benchmarks ?? []).flatMap((name) => {
      const spec = study.benchmarks.find((benchmark) => benchmark.name === name)!;
      return headsFrom(ablation, study).flatMap(({ checkpoint, form: asked, ...from }) =>
        spec.forms
          .filter((form) => form.name === asked)
          .flatMap((form) =>
            ablation.factors.map((factor) => ({
              spec,
              checkpoint,
              form,
              ablation,
              factor,
              ...from,
            })),
          ),
      );
    }),
  );
}

export const gatedId = (place: GatedPlace): string => {
  const { ablation, spec, checkpoint, form, task, factor } = place;
  const parts = [ablation.name, spec.name, checkpoint.name, ...(task ? [task] : []), form.name];
  return `${parts.map(slug).join('.')}.x${factor}`;
};

/** The diff that a gated place takes its heads from. */
export const diffIdOf = ({ checkpoint, task, form }: GatedPlace): string =>
  placeId({ checkpoint, task: task!, form: form.name });
