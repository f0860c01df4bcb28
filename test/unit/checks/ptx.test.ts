// The translation of nvcc's PTX to C++: names, labels, operands, and that nothing unknown passes.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { packageRoot } from '../../../lib/version.js';

const script = path.join(packageRoot, 'scripts', 'checks', 'ptx', 'translate.mjs');
const { translate } = (await import(pathToFileURL(script).href)) as {
  translate: (text: string, file: string) => string;
};

const NAMESPACE = '_ZN9headspark45_GLOBAL__N__edd5a5ac_12_norm_cuda_cu_7e5c2994';

/** A file of PTX with one kernel of these lines. */
const file = (...body: string[]) =>
  [
    '//',
    '.version 9.0',
    '.target sm_80',
    '.address_size 64',
    '.extern .shared .align 128 .b8 memory[];',
    `.entry ${NAMESPACE}10row_kernelENS0_3RowE(`,
    '\t.param .align 8 .b8 row_param_0[24]',
    ')',
    '.maxntid 256, 1, 1',
    '{',
    '\t.reg .pred \t%p<3>;',
    '\t.reg .f32 \t%f<5>;',
    '\t.reg .b32 \t%r<5>;',
    '\t.reg .b64 \t%rd<4>;',
    ...body.map((line) => `\t${line}`),
    '}',
  ].join('\n');
/** The statements made of these lines. */
const statements = (...body: string[]) =>
  translate(file(...body), 'row.ptx')
    .split('\n')
    .filter((line) => line.endsWith(';') || line.endsWith(':;') || line.startsWith('if'))
    .filter((line) => /^(put|if|goto|load|store|join|part|L__|return|copy|sync|value)/.test(line));

describe('PTX as C++', () => {
  it('calls a kernel as the compiler of the host does, with the bytes of its parameters', () => {
    expect(translate(file('ret;'), 'row.ptx')).toContain(
      '{"_ZN9headspark12_GLOBAL__N_110row_kernelENS0_3RowE", 24, &kernel_0},',
    );
  });

  it('jumps, under a guard or not', () => {
    expect(
      statements('@!%p1 bra \t$L__BB0_2;', 'bra.uni \t$L__BB0_2;', '$L__BB0_2:', 'ret;'),
    ).toEqual(['if (!r_p1) { goto L__BB0_2; }', 'goto L__BB0_2;', 'L__BB0_2:;', 'return;']);
  });

  it('tells the memories apart', () => {
    expect(
      statements(
        'ld.param.u64 \t%rd1, [row_param_0+8];',
        'mov.u32 \t%r1, memory;',
        'ld.global.nc.v2.f32 \t{%f1, %f2}, [%rd1+-16];',
        'st.shared.f32 \t[%r1+4], %f1;',
        'st.v2.f32 \t[%rd1], {%f1, %f2};',
        'cp.async.cg.shared.global [%r1], [%rd1], 16, %r2;',
        'atom.shared.add.u32 \t%r2, [%r1+8], %r3;',
      ),
    ).toEqual([
      'load_parameter<std::uint64_t, 1>(parameters + 8ll, r_rd1);',
      'put(r_r1, as<std::uint32_t>(0u));',
      'load_constant<float, 2>(r_rd1 + -16ll, r_f1, r_f2);',
      'store_shared<float, 1>(r_r1 + 4ll, {as<float>(r_f1)});',
      'store_generic<float, 2>(r_rd1, {as<float>(r_f1), as<float>(r_f2)});',
      'copy_sixteen(r_r1, r_rd1, as<std::uint32_t>(r_r2));',
      'put(r_r2, add_shared(r_r1 + 8ll, as<std::uint32_t>(r_r3)));',
    ]);
  });

  it('wraps sums of integers, and compares floats that may be NaN', () => {
    expect(
      statements(
        'add.s32 \t%r1, %r2, -1;',
        'setp.ltu.f32 \t%p1, %f1, 0f3F800000;',
        'setp.lt.f32 \t%p1, %f1, %f2;',
        'setp.lt.s32 \t%p1, %r1, 2;',
      ),
    ).toEqual([
      'put(r_r1, sum<std::uint32_t>(as<std::uint32_t>(r_r2), as<std::uint32_t>(-1ll)));',
      'put(r_p1, unordered(as<float>(r_f1), as<float>(0x3F800000u)) || as<float>(r_f1) < as<float>(0x3F800000u));',
      'put(r_p1, !unordered(as<float>(r_f1), as<float>(r_f2)) && as<float>(r_f1) < as<float>(r_f2));',
      'put(r_p1, as<std::int32_t>(r_r1) < as<std::int32_t>(2ll));',
    ]);
  });

  it('keeps the registers of a pair of braces to itself', () => {
    const text = translate(
      file('{.reg .b32 %temp; ', 'mov.b64 \t{%temp, %r1}, %rd1;', '}'),
      'row.ptx',
    );
    expect(text).toContain('{\nstd::uint32_t r_temp;\n');
    expect(text).toContain('part(r_temp, r_r1, r_rd1);\n}');
  });

  it.each([
    ['add.ftz.f32 \t%f1, %f2, %f3;', 'line 15: no instruction that is known: add.ftz.f32'],
    ['fma.rz.f32 \t%f1, %f2, %f3, %f4;', 'line 15: no instruction that is known: fma.rz.f32'],
    [
      'red.global.add.f32 \t[%rd1], %f1;',
      'line 15: no instruction that is known: red.global.add.f32',
    ],
    ['bar.sync \t1;', 'line 15: no instruction that is known: bar.sync'],
    ['mov.u32 \t%r1, %clock;', 'no operand that is known: %clock'],
    ['.local .align 4 .b8 \tdepot[64];', 'line 15: no statement of PTX that is known'],
  ])('refuses %s', (line, problem) => {
    expect(() => translate(file(line), 'row.ptx')).toThrow(problem);
  });
});
