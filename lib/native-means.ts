// Means over pairs by the addon where it loads: the same bits as in JavaScript, in a tenth of the
// time. What works without the addon (lib/diff) takes it as an option.
import { weightedMeans, type WeightedMeans } from './diff/weighted-means.js';
import { callNative, native } from './native.js';

/** By the addon. @throws ERR_HEADSPARK_NATIVE_LOAD, _INVALID_ARGUMENT. */
export const nativeMeans: WeightedMeans = (request) => {
  callNative((addon) => {
    addon.weightedMeans(request);
  });
};

/** By the addon, or without it where it does not load. */
export function fastestMeans(): WeightedMeans {
  try {
    native();
    return nativeMeans;
  } catch {
    return weightedMeans;
  }
}
