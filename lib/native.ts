// The one door to the C++ core: loads the addon on first use and turns its jobs into promises that
// obey an AbortSignal. The only cast from the untyped binary is here.
import { createRequire } from 'node:module';
import { withCallbacks, type CallbackResult, type JobProgress } from './callbacks.js';
import { HeadsparkError, isHeadsparkError } from './errors.js';
import type { NativeAddon, NativeJob, NativeProgress } from './native-types.js';
import { packageRoot, version } from './version.js';

export type { JobProgress } from './callbacks.js';
export type * from './native-types.js';

/** What every computation of the core takes. */
export interface JobOptions {
  /** Aborting rejects the promise with ERR_HEADSPARK_CANCELLED (cause: the signal's reason). */
  signal?: AbortSignal | undefined;
  /**
   * At most ~10 calls a second; the last always arrives. A throw, and a promise that is rejected, stops
   * the job with that error; the job ends after the promises that an async function gave.
   */
  onProgress?: ((progress: JobProgress) => CallbackResult) | undefined;
}

let loaded: NativeAddon | undefined;

/**
 * The addon, loaded once per thread.
 * @throws HeadsparkError ERR_HEADSPARK_NATIVE_LOAD with the fix in its message.
 */
export function native(): NativeAddon {
  loaded ??= loadAddon(packageRoot);
  return loaded;
}

/** Loads the addon of the package at `root`; `native()` is what callers want. */
export function loadAddon(root: string): NativeAddon {
  const require = createRequire(import.meta.url);
  let addon: NativeAddon;
  try {
    const load = require('node-gyp-build') as (directory: string) => unknown;
    addon = load(root) as NativeAddon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0] : String(cause);
    throw new HeadsparkError(
      'ERR_HEADSPARK_NATIVE_LOAD',
      `The native addon for ${process.platform}-${process.arch} cannot be loaded (${reason}); ` +
        'run `npm rebuild headspark` (in a clone: `npm run install`), which builds it or says what is missing.',
      { cause },
    );
  }
  if (addon.version !== version) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_NATIVE_LOAD',
      `The native addon is version ${addon.version} but the package is ${version}; ` +
        'run `npm rebuild headspark` (in a clone: `npm run install`).',
    );
  }
  return addon;
}

/** An error from the addon as a HeadsparkError with the same code; others are returned as they are. */
export function fromNative(error: unknown): unknown {
  if (error instanceof HeadsparkError || !isHeadsparkError(error)) return error;
  return new HeadsparkError(error.code, error.message, { cause: error });
}

/** Runs a synchronous native call and rethrows its errors as HeadsparkError. */
export function callNative<T>(call: (addon: NativeAddon) => T): T {
  const addon = native();
  try {
    return call(addon);
  } catch (error) {
    throw fromNative(error);
  }
}

/** Starts a native job, forwards its progress and ties it to `options.signal`. */
export async function runJob<T>(
  start: (addon: NativeAddon, onProgress: NativeProgress | undefined) => NativeJob<T>,
  options: JobOptions = {},
): Promise<T> {
  const { signal, onProgress } = options;
  return withCallbacks({ signal, onProgress }, (watched) => runWatched(start, watched));
}

async function runWatched<T>(
  start: (addon: NativeAddon, onProgress: NativeProgress | undefined) => NativeJob<T>,
  { signal, onProgress }: JobOptions,
): Promise<T> {
  if (signal?.aborted) throw cancelled('The run was cancelled before it started.', signal);
  const job = callNative((addon) =>
    start(addon, onProgress && ((done, total, phase) => onProgress({ done, total, phase }))),
  );
  const abort = (): void => job.cancel();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await job.promise;
  } catch (error) {
    if (signal?.aborted && isHeadsparkError(error) && error.code === 'ERR_HEADSPARK_CANCELLED') {
      throw cancelled(error.message, signal);
    }
    throw fromNative(error);
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

function cancelled(message: string, signal: AbortSignal): HeadsparkError {
  return new HeadsparkError('ERR_HEADSPARK_CANCELLED', message, { cause: signal.reason });
}
