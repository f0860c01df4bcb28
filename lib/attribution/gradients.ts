// Where attributions take gradients, and those whose gradients are 0 whatever the model does: KL(clean ‖
// current) is at its minimum at the clean run, so that who takes gradients there alone would rank what
// rounding leaves of 0.

/** What decides where gradients are taken. */
export interface GradientSettings {
  readonly method: string;
  readonly metric: string;
  readonly igSteps: number;
  readonly igGrid: string;
}

/** What the settings are called where they are given: options of the library, of the command line, keys. */
export interface GradientWords {
  readonly method: string;
  readonly metric: string;
  readonly steps: string;
  readonly grid: string;
}

/** Whether a method takes steps and a grid. */
export const isIntegrated = (method: string): boolean =>
  method === 'eap-ig' || method === 'eap-ig-activations';

const atCleanRunAlone = ({ method, igSteps, igGrid }: GradientSettings): boolean =>
  method === 'eap' ||
  // The last step of this grid, which is the only one here, is the clean run.
  (isIntegrated(method) && igSteps === 1 && igGrid === 'right');

/** Where the grid is not given: the reference's loops. */
export const usualGrid = (method: string): 'left' | 'right' =>
  method === 'eap-ig-activations' ? 'right' : 'left';

/** Why an attribution would score rounding noise, and what to take instead; undefined where it would not. */
export function zeroGradient(settings: GradientSettings, words: GradientWords): string | undefined {
  if (settings.metric !== 'kl' || !atCleanRunAlone(settings)) return undefined;
  const { method, metric, steps, grid } = words;
  const [how, instead] =
    settings.method === 'eap'
      ? ['', `${method} eap-ig, clean-corrupted, eap-ig-activations or exact`]
      : [` with ${steps} 1 and ${grid} right`, `more ${steps}, ${grid} left or midpoint`];
  return (
    `${metric} kl has the gradient 0 at the clean run, and ${method} ${settings.method}${how} takes ` +
    `gradients there alone, so that its scores would be rounding noise; take ${instead}, or another ${metric}`
  );
}
