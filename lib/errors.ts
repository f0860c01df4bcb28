// The one error class of headspark and its closed set of codes.
// The codes equal the C++ enumerators, so an error keeps its name across the boundary.

/** Every code that headspark can report. The C++ core uses the part after `ERR_HEADSPARK_`. */
export const ERROR_CODES = [
  'ERR_HEADSPARK_INVALID_ARGUMENT',
  'ERR_HEADSPARK_FILE_NOT_FOUND',
  'ERR_HEADSPARK_FILE_CORRUPT',
  'ERR_HEADSPARK_FILE_CHANGED',
  'ERR_HEADSPARK_FILE_WRITE',
  'ERR_HEADSPARK_CONFIG',
  'ERR_HEADSPARK_UNSUPPORTED_ARCHITECTURE',
  'ERR_HEADSPARK_UNSUPPORTED_ADAPTER',
  'ERR_HEADSPARK_TENSOR_MISSING',
  'ERR_HEADSPARK_TENSOR_SHAPE',
  'ERR_HEADSPARK_TENSOR_DTYPE',
  'ERR_HEADSPARK_TENSOR_VALUE',
  'ERR_HEADSPARK_PAIR_LENGTH',
  'ERR_HEADSPARK_PAIR_FORMAT',
  'ERR_HEADSPARK_CIRCUIT_FORMAT',
  'ERR_HEADSPARK_SETTINGS_MISMATCH',
  'ERR_HEADSPARK_TOKENIZER',
  'ERR_HEADSPARK_DEVICE',
  'ERR_HEADSPARK_OUT_OF_MEMORY',
  'ERR_HEADSPARK_CANCELLED',
  'ERR_HEADSPARK_NATIVE_LOAD',
  'ERR_HEADSPARK_NETWORK',
  'ERR_HEADSPARK_INTERNAL',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/**
 * The only error type that headspark's functions throw on purpose.
 * `message` is one sentence that names the file, option or tensor and says what to do;
 * `code` is stable; `cause` is the error underneath, when there is one.
 */
export class HeadsparkError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'HeadsparkError';
    this.code = code;
  }
}

/** True for a HeadsparkError, also one from another copy of the package (worker, duplicate). */
export function isHeadsparkError(error: unknown): error is HeadsparkError {
  return (
    error instanceof Error &&
    'code' in error &&
    (ERROR_CODES as readonly unknown[]).includes(error.code)
  );
}
