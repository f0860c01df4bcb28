// Head references and gates: parsing, canonical names, validation messages.
import { describe, expect, it } from 'vitest';
import {
  allHeads,
  checkGate,
  checkHeads,
  checkVariants,
  formatGate,
  formatHeads,
  parseHeads,
  parseHeadSets,
  withFactor,
  type HeadGateSpec,
} from '../../lib/head-gate.js';

const shape = { layers: 6, heads: 4 };
const gate = (change: Partial<HeadGateSpec> = {}): HeadGateSpec => ({
  heads: [{ layer: 3, head: 1 }],
  factor: 0,
  replacement: 'zero',
  positions: 'all',
  ...change,
});

describe('parseHeads', () => {
  it.each([
    ['3.1,5.0', 'a3.h1,a5.h0'],
    [' 5.0 3.1 ', 'a3.h1,a5.h0'],
    ['a3.h1,3.1', 'a3.h1'],
    ['3.0-2', 'a3.h0,a3.h1,a3.h2'],
    ['2-3.1', 'a2.h1,a3.h1'],
    ['5.*', 'a5.h0,a5.h1,a5.h2,a5.h3'],
    ['10.2,2.10,2.9', 'a2.h9,a2.h10,a10.h2'],
  ])('reads %j as %s', (text, names) => {
    const fitting = text.includes('10') ? { layers: 11, heads: 11 } : shape;
    expect(formatHeads(parseHeads(text, fitting))).toBe(names);
  });

  it('takes the whole model for *.*', () => {
    expect(parseHeads('*.*', shape)).toEqual(allHeads(shape));
    expect(allHeads(shape)).toHaveLength(24);
  });

  it.each([
    ['', 'empty'],
    ['3', 'LAYER.HEAD'],
    ['3.1.2', 'LAYER.HEAD'],
    ['3.x', '"x" is not a head number'],
    ['-1.2', 'not a layer number'],
    ['3.2-1', 'backwards'],
    ['6.0', 'no layer 6; layers run from 0 to 5'],
    ['0.4', 'no head 4; heads run from 0 to 3'],
    ['3.1*0.5', 'LAYER.HEAD'],
  ])('refuses %j', (text, part) => {
    expect(() => parseHeads(text, shape)).toThrow(
      expect.objectContaining({
        code: 'ERR_HEADSPARK_INVALID_ARGUMENT',
        message: expect.stringContaining(part) as string,
      }),
    );
  });

  it('needs a shape for a star, and limits ranges without one', () => {
    expect(() => parseHeads('3.*')).toThrow('shape');
    expect(() => parseHeads('0-99999.0-99999')).toThrow('too many');
  });

  it('reads sets', () => {
    expect(parseHeadSets('3.1,5.0; 4.2', shape).map(formatHeads)).toEqual(['a3.h1,a5.h0', 'a4.h2']);
    expect(() => parseHeadSets(' ')).toThrow('the list of heads is empty');
    for (const [text, number] of [
      [';0.0', '1 of the 2'],
      ['3.1; ;5.0', '2 of the 3'],
      ['3.1;', '2 of the 2'],
    ]) {
      expect(() => parseHeadSets(text)).toThrow(
        `set ${number} sets of heads in "${text}" is empty`,
      );
    }
  });
});

describe('gates and variants', () => {
  it('names a gate the same for any order of heads', () => {
    const heads = parseHeads('5.0,3.1');
    expect(formatGate(gate({ heads }))).toBe('a3.h1,a5.h0 x0 zero all');
    expect(formatGate(gate({ heads: [...heads].reverse() }))).toBe(formatGate(gate({ heads })));
    expect(formatGate(gate({ heads: [], factor: 1.3 }))).toBe('none x1.3 zero all');
  });

  it('names a factor where there are several', () => {
    expect(withFactor('a3.h1', 0, [0, 0.5])).toBe('a3.h1 × 0');
    expect(withFactor('a3.h1', 0.5, [0, 0.5])).toBe('a3.h1 × 0.5');
    expect(withFactor('a3.h1', 0.5, [0.5, 0.5])).toBe('a3.h1');
  });

  it('checks heads, factor and words', () => {
    expect(() => checkGate(gate(), shape)).not.toThrow();
    expect(() => checkHeads([{ layer: 0, head: 4 }], shape)).toThrow('a0.h4');
    expect(() => checkHeads([{ layer: 0.5, head: 0 }], shape)).toThrow('layers 0 to 5');
    expect(() => checkGate(gate({ factor: NaN }), shape)).toThrow('number from -1e6 to 1e6');
    expect(() => checkGate(gate({ replacement: 'none' as 'zero' }), shape)).toThrow('resample');
    expect(() => checkGate(gate({ positions: 'last' as 'all' }), shape)).toThrow('generated');
    const twice = [...gate().heads, ...gate().heads];
    expect(() => checkGate(gate({ heads: twice }), shape)).toThrow('twice');
  });

  it('refuses variants with one name or none', () => {
    const variant = { name: 'a', gates: gate() };
    expect(() => checkVariants([variant], shape)).not.toThrow();
    expect(() => checkVariants([variant, variant], shape)).toThrow('two ablation variants');
    expect(() => checkVariants([{ ...variant, name: ' ' }], shape)).toThrow('needs a name');
  });
});
