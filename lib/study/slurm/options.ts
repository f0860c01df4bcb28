// Options of a command line in place of what the study file says under `slurm`.

import { HeadsparkError } from '../../errors.js';
import { studySchema } from '../schema.js';
import type { SlurmSettings, SlurmTask, Study } from '../study.js';

export interface SlurmOptions {
  readonly tasks?: number | undefined;
  readonly partition?: string | undefined;
  readonly account?: string | undefined;
  readonly time?: string | undefined;
  readonly gpus?: string | undefined;
}

/**
 * The study with these settings, which go before those of the file, also before its stages'.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT for what sbatch would not take.
 */
export function applySlurmOptions(study: Study, options: SlurmOptions): Study {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Partial<SlurmSettings>;
  const checked = studySchema.shape.slurm.safeParse(given);
  if (!checked.success) {
    const [{ path, message }] = checked.error.issues;
    const name = String(path[0]) as keyof SlurmOptions;
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      `the Slurm option ${name} "${String(options[name])}" does not fit: expected ${message}.`,
    );
  }
  const withoutGiven = (own: SlurmTask): SlurmTask =>
    Object.fromEntries(Object.entries(own).filter(([key]) => !(key in given)));
  const stages = Object.fromEntries(
    Object.entries(study.slurm.stages).map(([kind, own]) => [kind, withoutGiven(own)]),
  );
  return { ...study, slurm: { ...study.slurm, ...given, stages } };
}
