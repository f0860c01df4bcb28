// Errors about one pair: they always begin with file:line.
import { HeadsparkError, type ErrorCode } from '../errors.js';
import type { PairPlace } from './types.js';

/** An error at a place in a pairs file; PAIR_FORMAT unless another code is given. */
export function pairError(
  place: Pick<PairPlace, 'file' | 'line'>,
  message: string,
  options: { code?: ErrorCode; cause?: unknown } = {},
): HeadsparkError {
  const { code = 'ERR_HEADSPARK_PAIR_FORMAT', cause } = options;
  return new HeadsparkError(code, `${place.file}:${place.line}: ${message}`, { cause });
}

/** A short quotation of a text for messages. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 37)}...` : text);
}
