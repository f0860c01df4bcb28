// How checkpoints store values.
import { toBf16, toF32 } from './random.mjs';

export const formats = {
  bf16: { name: 'BF16', bytes: 2, encode: toBf16 },
  f32: { name: 'F32', bytes: 4, encode: toF32 },
};
