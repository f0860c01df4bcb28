// A stand-in for a model: every head is worth something to every pair, and gating it takes that
// away. Deterministic, so that runs can be compared byte by byte.
import type { AblationSubject, SweepRunner } from '../../../lib/ablation/index.js';
import type { HeadRef } from '../../../lib/head-gate.js';
import { Random } from '../../../lib/stats/random.js';

export const shape = { layers: 4, heads: 6 };

/** What a head is worth to a pair; heads 3.1 and 3.2 carry the task. */
export function worth({ layer, head }: HeadRef, pair: number): number {
  const noise = new Random(7, layer * 1000 + head * 100 + pair).uniform();
  const carries = layer === 3 && (head === 1 || head === 2);
  return (carries ? 2 : 0.01) * (0.5 + noise);
}

export interface FakeRunner extends SweepRunner {
  /** Names of the variants of every call. */
  readonly calls: string[][];
  disposed: boolean;
}

export function fakeRunner(
  pairs: number,
  hooks: { beforeRun?: (call: number) => void; metricSign?: number } = {},
): FakeRunner {
  const calls: string[][] = [];
  return {
    calls,
    disposed: false,
    run(variants) {
      hooks.beforeRun?.(calls.length);
      calls.push(variants.map(({ name }) => name));
      const values = new Float32Array(variants.length * pairs);
      const correct = new Uint8Array(variants.length * pairs);
      variants.forEach(({ heads, factor }, row) => {
        for (let pair = 0; pair < pairs; pair++) {
          const lost = heads.reduce((sum, head) => sum + worth(head, pair), 0);
          const value = 3 - (1 - factor) * lost;
          values[row * pairs + pair] = (hooks.metricSign ?? 1) * value;
          correct[row * pairs + pair] = value > 1.5 ? 1 : 0;
        }
      });
      return Promise.resolve({ values, correct });
    },
    dispose() {
      this.disposed = true;
    },
  };
}

export function subjectOf(runner: SweepRunner, pairs: number): AblationSubject {
  return {
    model: 'fake',
    modelFingerprint: 'f'.repeat(32),
    device: 'cpu',
    isa: 'specification',
    precision: 'exact',
    shape,
    pairs,
    pairsHash: 'a'.repeat(64),
    // The same in every layer, growing with the head.
    writeNorms: () =>
      Promise.resolve(
        Float32Array.from({ length: shape.layers * shape.heads }, (_, i) => 1 + (i % shape.heads)),
      ),
    createRunner: () => Promise.resolve(runner),
  };
}
