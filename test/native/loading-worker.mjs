// Runs inside a worker thread: loads the addon on its own and reports what it saw. `mode` is
// `measure` (run a job to its end), `hang` (start a long job and wait to be terminated) or `twice`.
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

const require = createRequire(import.meta.url);
const { addonFile, mode, milliseconds } = workerData;
const options = { milliseconds, threads: 1, copyBytes: 1 << 20 };
const addon = require(addonFile);

if (mode === 'measure') {
  let calls = 0;
  const result = await addon.measurePeak(options, () => calls++).promise;
  parentPort.postMessage({ calls, copyGbPerS: result.copyGbPerS });
} else if (mode === 'hang') {
  let told = false;
  const job = addon.measurePeak(options, () => {
    if (!told) parentPort.postMessage('running');
    told = true;
  });
  await job.promise;
  parentPort.postMessage('finished');
} else {
  delete require.cache[require.resolve(addonFile)];
  const again = require(addonFile);
  const jobs = [addon.measurePeak(options), again.measurePeak(options)];
  const results = await Promise.all(jobs.map((job) => job.promise));
  parentPort.postMessage({ separate: again !== addon, count: results.length });
}
