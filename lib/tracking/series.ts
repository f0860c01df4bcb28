// What tracking reads: the heads of the circuits of a base and of the checkpoints of one training
// run. Pure: works on head masks, wherever they came from.

import { HeadsparkError } from '../errors.js';
import { formatHead, type HeadShape } from '../head-gate.js';

/** The circuit heads of one checkpoint. */
export interface CheckpointHeads {
  readonly name: string;
  /** Training step. */
  readonly step: number;
  /** [layers * heads], 1 for every head in the circuit. */
  readonly mask: Uint8Array;
}

/** One training run: its checkpoints in order, against the base it started from. */
export interface HeadSeries {
  readonly label: string;
  readonly regime: string;
  readonly shape: HeadShape;
  readonly base: CheckpointHeads;
  /** Ascending steps; at least one. */
  readonly checkpoints: readonly CheckpointHeads[];
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/** Throws ERR_HEADSPARK_INVALID_ARGUMENT for no checkpoints, steps out of order or other shapes. */
export function checkSeries({ label, shape, base, checkpoints }: HeadSeries): void {
  if (checkpoints.length === 0) throw invalid(`the series ${label} has no checkpoints.`);
  const size = shape.layers * shape.heads;
  for (const { name, mask } of [base, ...checkpoints]) {
    if (mask.length === size) continue;
    throw invalid(
      `the series ${label}: ${name} has ${mask.length} heads, expected ${shape.layers} x ${shape.heads}.`,
    );
  }
  checkpoints.slice(1).forEach(({ name, step }, index) => {
    if (step > checkpoints[index].step) return;
    throw invalid(
      `the series ${label}: ${name} (step ${step}) must come after step ${checkpoints[index].step}.`,
    );
  });
}

/** The name of head number `index` of a mask. */
export function headName(index: number, shape: HeadShape): string {
  return formatHead({ layer: Math.floor(index / shape.heads), head: index % shape.heads });
}

/** Names of the heads for which `test` holds, in order. */
export function namesWhere(shape: HeadShape, test: (head: number) => boolean): string[] {
  const names: string[] = [];
  for (let head = 0; head < shape.layers * shape.heads; head++) {
    if (test(head)) names.push(headName(head, shape));
  }
  return names;
}
