// Means over pairs and the heads of their circuits by the addon where it loads: the same bits as in
// JavaScript, in a tenth of the time and less. What works without the addon (lib/diff) takes them as
// options.
import { resampledHeads, type ResampledHeads } from './diff/resampled-heads.js';
import { weightedMeans, type WeightedMeans } from './diff/weighted-means.js';
import { callNative, native } from './native.js';

/** By the addon. @throws ERR_HEADSPARK_NATIVE_LOAD, _INVALID_ARGUMENT. */
export const nativeMeans: WeightedMeans = (request) => {
  callNative((addon) => {
    addon.weightedMeans(request);
  });
};

/** By the addon. @throws ERR_HEADSPARK_NATIVE_LOAD, _INVALID_ARGUMENT, _TENSOR_VALUE. */
export const nativeResampledHeads: ResampledHeads = ({ graph, selection, ...request }) => {
  const { layers, heads, keyValueHeads, parallelBlock, kvEdges } = graph.shape;
  const { ranking = 'absolute', prune = true, rule } = selection;
  const width = layers * heads;
  const masks = new Uint8Array(request.rows * width);
  const importances = new Float64Array(request.rows * width);
  callNative((addon) => {
    addon.resampledHeads({
      ...request,
      ...{ layers, heads, keyValueHeads, parallelBlock, kvEdges },
      ...{ rule, ranking, prune },
      ...(selection.rule === 'threshold' ? {} : { n: selection.n }),
      ...(selection.rule === 'greedy' ? {} : { tau: selection.tau }),
      masks,
      importances,
    });
  });
  return Array.from({ length: request.rows }, (_, row) => ({
    mask: masks.subarray(row * width, (row + 1) * width),
    importance: importances.subarray(row * width, (row + 1) * width),
  }));
};

function addonLoads(): boolean {
  try {
    native();
    return true;
  } catch {
    return false;
  }
}

/** By the addon, or without it where it does not load. */
export const fastestMeans = (): WeightedMeans => (addonLoads() ? nativeMeans : weightedMeans);

/** By the addon, or without it where it does not load. */
export const fastestResampledHeads = (): ResampledHeads =>
  addonLoads() ? nativeResampledHeads : resampledHeads;
