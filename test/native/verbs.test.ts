// Every verb of the command line is a function of the package.
import { describe, expect, it } from 'vitest';
import { commandNames } from '../../lib/cli/commands.js';
import * as headspark from '../../lib/index.js';

/** What each verb calls. */
const functions: Record<string, readonly unknown[]> = {
  pairs: [
    headspark.loadCheckpointText,
    headspark.generatePairs,
    headspark.inspectPairs,
    headspark.reportPairs,
    headspark.writePairs,
  ],
  attribute: [headspark.attribute],
  circuit: [headspark.buildCircuit, headspark.evaluateCircuits, headspark.circuitCurve],
  diff: [headspark.diff],
  ablate: [headspark.ablate, headspark.ablateShard],
  heads: [headspark.headProperties, headspark.headEffects],
  generate: [headspark.generate],
  evaluate: [headspark.evaluate],
  merge: [headspark.mergeEvaluations, headspark.mergeAttributions, headspark.mergeAblations],
  study: [headspark.initStudy, headspark.planStudy, headspark.runStudy, headspark.mergeRuns],
  report: [headspark.writeReport, headspark.watchReport],
  demo: [headspark.runDemo],
  doctor: [headspark.doctor, headspark.measurePeak],
};

it('has functions for all commands', () => {
  expect(Object.keys(functions)).toEqual(commandNames);
  for (const called of Object.values(functions).flat()) expect(called).toBeInstanceOf(Function);
});

describe('doctor', () => {
  it('describes build, device and versions', async () => {
    const { versions, build, device, hiddenIsa } = await headspark.doctor();
    expect(versions).toEqual({
      headspark: headspark.version,
      node: process.version,
      platform: process.platform,
    });
    expect(build.version).toBe(headspark.version);
    expect(device.usableThreads).toBeGreaterThanOrEqual(1);
    expect(device.memoryAvailableBytes).toBeLessThanOrEqual(device.memoryTotalBytes);
    expect(hiddenIsa === null || typeof hiddenIsa === 'string').toBe(true);
  });

  it('measures until it is cancelled, and refuses wrong options', async () => {
    const signal = AbortSignal.timeout(50);
    await expect(headspark.measurePeak({ threads: 1, signal })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CANCELLED',
    });
    await expect(headspark.measurePeak({ threads: Number.NaN })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
      message: 'threads is NaN; it must be a whole number from 0 to 1024.',
    });
  });
});
