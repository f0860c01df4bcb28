// The properties of a head, once: what they are called, how they are read, and where the core puts
// them.

import { tokenClasses } from './token-classes.js';

/** Columns of the core's values, in its order. */
export const nativeProperties = [
  'previous',
  'first',
  'duplicate',
  'induction',
  'entropy',
  'distance',
  'writeNorm',
  'directEffect',
  ...tokenClasses,
] as const;

/** Everything that is measured of a head; `copying` is of the weights alone. */
export const headPropertyNames = [...nativeProperties, 'copying'] as const;

/**
 * - `previous`, `first`: attention to the token before, and to the first token of the prompt.
 * - `duplicate`: to earlier copies of the query's token.
 * - `induction`: to the tokens after those copies (Olsson et al. 2022, arXiv 2209.11895).
 * - `digits`, `operators`, `delimiters`, `think`: to tokens of these classes (`TokenClass`).
 * - Of all these, means over the queries that see such a token: in a sliding window, within it.
 * - `entropy`: of the attention, nats. `distance`: from query to key, tokens.
 * - `writeNorm`: L2 norm of what the head adds to the residual stream.
 * - `directEffect`: logits that its write adds to the right answer minus the wrong one, or minus the
 *   mean of the vocabulary, with the scale of the final norm held fixed.
 * - `copying`: eigenvalues of its OV matrix over the vocabulary, their sum over the sum of their
 *   magnitudes, from -1 to 1 (Elhage et al. 2021).
 */
export type HeadPropertyName = (typeof headPropertyNames)[number];

export interface HeadPropertyText {
  readonly name: HeadPropertyName;
  /** For titles of columns. */
  readonly title: string;
  /** One of a table's columns in files. */
  readonly key: string;
  readonly unit: 'share' | 'nats' | 'tokens' | 'logits' | 'norm' | 'score';
}

const text = (
  name: HeadPropertyName,
  title: string,
  unit: HeadPropertyText['unit'],
): HeadPropertyText => ({
  name,
  title,
  unit,
  key: name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
});

/** In the order of tables. */
export const headPropertyTexts: readonly HeadPropertyText[] = [
  text('previous', 'to previous token', 'share'),
  text('first', 'to first token', 'share'),
  text('duplicate', 'to earlier copies', 'share'),
  text('induction', 'after earlier copies', 'share'),
  text('digits', 'to digits', 'share'),
  text('operators', 'to operators', 'share'),
  text('delimiters', 'to delimiters', 'share'),
  text('think', 'to think markers', 'share'),
  text('entropy', 'entropy', 'nats'),
  text('distance', 'distance', 'tokens'),
  text('directEffect', 'direct effect', 'logits'),
  text('copying', 'OV copying', 'score'),
  text('writeNorm', 'write norm', 'norm'),
];
