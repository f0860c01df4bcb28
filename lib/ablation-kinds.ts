// What a closed gate puts in a head's place: the words, for code that never loads the addon.

export const ablationKinds = ['zero', 'mean', 'mean-per-position', 'resample'] as const;

/**
 * What a closed gate puts in the head's place (method: z' = factor z + (1 - factor) r on the input
 * of the output projection): nothing, the head's mean over all clean prompts, its mean at that
 * position, or the corrupted run's value at the same token. Where a model generates, the prompts are
 * reference runs of the unablated model, and resampling takes another problem's run.
 */
export type AblationKind = (typeof ablationKinds)[number];
