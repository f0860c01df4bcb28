// The public API: everything that `import … from 'headspark'` gives.
export { ERROR_CODES, HeadsparkError, isHeadsparkError } from './errors.js';
export type { ErrorCode } from './errors.js';
export { version } from './version.js';
