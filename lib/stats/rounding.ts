// What is left of a sum or difference of equal numbers by rounding is no finding: 3.7e-15 is 0.

/** Of the scale of the operands; float32 values that differ do so by 6e-8 of it. */
const rounding = 1e-12;

/** The value, or 0 where rounding alone can have made it of operands of this size. */
export const withoutRounding = (value: number, scale: number): number =>
  Number.isFinite(scale) && Math.abs(value) <= rounding * scale ? 0 : value;

/** after - before. */
export const differenceOf = (before: number, after: number): number =>
  withoutRounding(after - before, Math.max(Math.abs(before), Math.abs(after)));
