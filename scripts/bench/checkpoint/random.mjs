// Bell-shaped random weights whose bytes depend on the seed and the tensor's name alone: xoshiro128**
// (Blackman and Vigna, arXiv 1805.01407) seeded by SHA-256. A value is the sum of four 16-bit
// uniforms, which integers and IEEE arithmetic give identically on every machine.
import { createHash } from 'node:crypto';

const sumMean = 2 * 65535;
const sumDeviation = Math.sqrt((4 * (65536 ** 2 - 1)) / 12);

/** A function that returns the next 32 random bits. */
export function randomBits(seed, name) {
  const digest = createHash('sha256').update(`${seed}\0${name}`).digest();
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => digest.readInt32LE(at));
  return () => {
    const five = Math.imul(b, 5);
    const result = Math.imul((five << 7) | (five >>> 25), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result >>> 0;
  };
}

/**
 * A function that fills a Float32Array with values of the given mean and standard deviation; the
 * largest possible distance from the mean is 3.46 deviations.
 */
export function randomFiller(seed, name, { mean, deviation }) {
  const next = randomBits(seed, name);
  const scale = deviation / sumDeviation;
  return (values) => {
    for (let i = 0; i < values.length; i++) {
      const [x, y] = [next(), next()];
      const sum = (x & 0xffff) + (x >>> 16) + (y & 0xffff) + (y >>> 16);
      values[i] = mean + scale * (sum - sumMean);
    }
    return values;
  };
}

/** Little-endian bf16 of fp32 values, rounded to nearest even, into `out` (2 bytes a value). */
export function toBf16(values, out) {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    const value = bits[i];
    const rounded = (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
    out[2 * i] = rounded;
    out[2 * i + 1] = rounded >>> 8;
  }
  return out;
}

/** Little-endian fp32 bytes, whatever the machine's order. */
export function toF32(values, out) {
  const view = new DataView(out.buffer, out.byteOffset, out.byteLength);
  for (let i = 0; i < values.length; i++) view.setFloat32(4 * i, values[i], true);
  return out;
}
