// One instruction of PTX as a statement of C++ in the words of test/cuda_emulation/ptx/machine.h.
// Registers are unsigned integers that hold bits; an instruction says as what it reads them.

/** What a type of PTX is in C++. */
const CPP = {
  ...{ u8: 'std::uint8_t', u16: 'std::uint16_t', u32: 'std::uint32_t', u64: 'std::uint64_t' },
  ...{ s16: 'std::int16_t', s32: 'std::int32_t', s64: 'std::int64_t' },
  ...{ b16: 'std::uint16_t', b32: 'std::uint32_t', b64: 'std::uint64_t' },
  ...{ f32: 'float', f64: 'double', pred: 'bool' },
};
/** Sums wrap: integers are added as unsigned ones. */
const wrapping = (type) => CPP[type.replace(/^s/, 'u')];

const SPECIAL = {
  '%tid.x': 'thread_index()',
  '%ntid.x': 'block_threads()',
  '%ctaid.x': 'block_x()',
  '%ctaid.y': 'block_y()',
  '%ctaid.z': 'block_z()',
  '%nctaid.x': 'grid_x()',
};

/** A register's name in C++. */
export const register = (name) => name.replace(/^%/, 'r_');

/** As nvcc and its headers name them. */
const isRegister = (operand) => /^%((p|rs?|rd|fd?)\d+|temp)$/.test(operand);

/** What operand reads as, in bits. */
function bits(operand, context) {
  if (operand in SPECIAL) return `static_cast<std::uint32_t>(${SPECIAL[operand]})`;
  if (isRegister(operand)) return register(operand);
  if (context.shared.has(operand)) return '0u';
  if (operand === context.parameter) return 'parameters';
  const float = /^0([fd])([0-9A-Fa-f]+)$/.exec(operand);
  if (float) return float[1] === 'f' ? `0x${float[2]}u` : `0x${float[2]}ull`;
  if (/^-?\d+$/.test(operand)) {
    // The smallest number has no literal.
    return operand === '-9223372036854775808' ? '0x8000000000000000ull' : `${operand}ll`;
  }
  throw new Error(`no operand that is known: ${operand}`);
}

/** The value of operand, of the C++ type of a PTX type. */
const value = (operand, type, context) =>
  type === 'pred' ? bits(operand, context) : `as<${CPP[type]}>(${bits(operand, context)})`;

/** Registers of {a, b}, or the one that stands there alone. */
const vector = (operand) =>
  (operand.startsWith('{') ? operand.slice(1, -1).split(',') : [operand]).map((one) => one.trim());

/** `[%rd1+16]` as an expression: of pointers as bits, or of offsets. */
function address(operand, context) {
  const [, base, offset] = /^\[([^+\]]+)(?:\+(-?\d+))?\]$/.exec(operand);
  return offset === undefined
    ? bits(base, context)
    : `${bits(base, context)} + ${bits(offset, context)}`;
}

const put = (to, expression) => `put(${register(to)}, ${expression});`;

/** d = function(a, b, ...) with operands and result of one type. */
const call =
  (name, type = (parts) => CPP[parts.at(-1)]) =>
  ({ parts, operands: [to, ...from] }, context) => {
    const cpp = type(parts);
    const read = from.map((one) => `as<${cpp}>(${bits(one, context)})`);
    return put(to, `${name}<${cpp}>(${read.join(', ')})`);
  };

const lastType = (parts) => parts.at(-1);
/** + - * of integers wrap, of floats round to nearest even, the only rounding that nvcc asks for. */
const arithmetic =
  (name) =>
  ({ parts, operands: [to, ...from] }, context) => {
    const type = lastType(parts);
    if (parts.slice(1, -1).some((part) => !['rn', 'lo'].includes(part))) return undefined;
    const cpp = type.startsWith('f') ? CPP[type] : wrapping(type);
    const read = from.map((one) => `as<${cpp}>(${bits(one, context)})`);
    return put(to, `${name}<${cpp}>(${read.join(', ')})`);
  };

const logic =
  (operator) =>
  ({ parts, operands: [to, a, b] }, context) => {
    const type = lastType(parts);
    const result = `${value(a, type, context)} ${operator} ${value(b, type, context)}`;
    return put(to, `static_cast<${CPP[type]}>(${result})`);
  };

function multiply(instruction, context) {
  const { parts, operands } = instruction;
  if (parts[1] !== 'wide') return arithmetic('product')(instruction, context);
  const type = lastType(parts);
  const wide = { s32: 's64', u32: 'u64', u16: 'u32', s16: 's32' }[type];
  const [a, b] = operands.slice(1).map((one) => `${CPP[wide]}{${value(one, type, context)}}`);
  return put(operands[0], `${a} * ${b}`);
}

function fusedMultiplyAdd({ parts, operands: [to, ...from] }, context) {
  const [, rounding, type] = parts;
  const name = { rn: 'fused_nearest', rm: 'fused_down' }[rounding];
  if (name === undefined || parts.length !== 3) return undefined;
  return put(to, `${name}(${from.map((one) => value(one, type, context)).join(', ')})`);
}

const ORDERED = { eq: '==', ne: '!=', lt: '<', le: '<=', gt: '>', ge: '>=' };

function compare({ parts, operands: [to, a, b] }, context) {
  const [, comparison, type] = parts;
  if (parts.length !== 3) return undefined;
  const [left, right] = [value(a, type, context), value(b, type, context)];
  const unordered = `unordered(${left}, ${right})`;
  if (comparison === 'nan') return put(to, unordered);
  if (comparison === 'num') return put(to, `!${unordered}`);
  const float = type.startsWith('f');
  const name = float ? comparison.replace(/u$/, '') : comparison;
  const operator = ORDERED[name];
  if (operator === undefined) return undefined;
  const result = `${left} ${operator} ${right}`;
  if (!float) return put(to, result);
  return put(to, name === comparison ? `!${unordered} && ${result}` : `${unordered} || ${result}`);
}

function select({ parts, operands: [to, a, b, p] }, context) {
  const type = lastType(parts);
  return put(to, `${register(p)} ? ${value(a, type, context)} : ${value(b, type, context)}`);
}

/** Conversions by name, what they read and what they are in machine.h. */
const CONVERSIONS = {
  'f32.f16': ['u16', 'half_to_float'],
  'f64.f32': ['f32', 'static_cast<double>'],
  'rn.f32.f64': ['f64', 'static_cast<float>'],
  'rn.f32.s32': ['s32', 'static_cast<float>'],
  'rn.f32.s64': ['s64', 'static_cast<float>'],
  'rn.f64.s32': ['s32', 'static_cast<double>'],
  'rn.f64.s64': ['s64', 'static_cast<double>'],
  'rn.f64.u32': ['u32', 'static_cast<double>'],
  'rn.f64.u64': ['u64', 'static_cast<double>'],
  'rzi.s32.f32': ['f32', 'towards_zero'],
  'rzi.s32.f64': ['f64', 'towards_zero'],
  'rzi.f32.f32': ['f32', 'std::trunc'],
  'sat.f32.f32': ['f32', 'saturated'],
  'rn.bf16.f32': ['f32', 'f32_to_bf16'],
};

function convert({ parts, operands: [to, ...from] }, context) {
  const name = parts.slice(1).join('.');
  if (name === 'rn.bf16x2.f32') {
    const [high, low] = from.map((one) => value(one, 'f32', context));
    return put(to, `pack_bf16(${low}, ${high})`);
  }
  const integers = /^([us]\d+)\.([us]\d+)$/.exec(name);
  if (integers) {
    return put(to, `static_cast<${CPP[integers[1]]}>(${value(from[0], integers[2], context)})`);
  }
  if (!(name in CONVERSIONS)) return undefined;
  const [type, conversion] = CONVERSIONS[name];
  return put(to, `${conversion}(${value(from[0], type, context)})`);
}

/** mov: of a register, or of halves into a whole and back. */
function move({ parts, operands: [to, from] }, context) {
  const type = lastType(parts);
  if (from.startsWith('{')) {
    const [low, high] = vector(from);
    return `join(${register(to)}, ${register(low)}, ${register(high)});`;
  }
  if (to.startsWith('{')) {
    const [low, high] = vector(to);
    return `part(${register(low)}, ${register(high)}, ${register(from)});`;
  }
  if (type === 'pred') return `${register(to)} = ${bits(from, context)} != 0;`;
  return put(to, value(from, type, context));
}

/** Which memory ld or st names, its type, and how many at once. */
function access(parts) {
  const count = { v2: 2, v4: 4 }[parts.at(-2)] ?? 1;
  const space = parts.slice(1, count === 1 ? -1 : -2).join('.');
  return { space, type: parts.at(-1), count };
}

const LOADS = {
  param: 'load_parameter',
  global: 'load_global',
  'global.nc': 'load_constant',
  shared: 'load_shared',
  '': 'load_generic',
};

function load({ parts, operands: [to, from] }, context) {
  const { space, type, count } = access(parts);
  if (!(space in LOADS)) return undefined;
  const targets = vector(to).map(register).join(', ');
  return `${LOADS[space]}<${CPP[type]}, ${count}>(${address(from, context)}, ${targets});`;
}

const STORES = { global: 'store_global', shared: 'store_shared', '': 'store_generic' };

function store({ parts, operands: [to, from] }, context) {
  const { space, type, count } = access(parts);
  if (!(space in STORES)) return undefined;
  const sources = vector(from).map((one) => value(one, type, context));
  return `${STORES[space]}<${CPP[type]}, ${count}>(${address(to, context)}, {${sources.join(', ')}});`;
}

/** bra, as a jump; `.uni` promises that all threads take it, which changes nothing here. */
const branch = ({ operands: [to] }) => `goto ${label(to)};`;
/** A label's name in C++. */
export const label = (name) => name.replace(/^\$/, '');

function shuffle({ parts, operands: [to, from, lane, clamp, members] }, context) {
  const name = { bfly: 'value_of_xor', idx: 'value_of_lane' }[parts[2]];
  const [result, within] = to.split('|');
  if (name === undefined) return undefined;
  const read = [from, lane, clamp, members].map((one) => value(one, 'u32', context));
  return `${name}(${register(result)}, ${register(within)}, ${read.join(', ')});`;
}

function vote({ parts, operands: [to, from, members] }, context) {
  const name = { any: 'any_of_lanes', ballot: 'ballot_of_lanes' }[parts[2]];
  if (name === undefined) return undefined;
  return put(to, `${name}(${register(from)}, ${value(members, 'u32', context)})`);
}

function copyAsync({ opcode, operands }, context) {
  if (opcode === 'cp.async.commit_group') return 'commit_copies();';
  if (opcode === 'cp.async.wait_group') return `wait_copies<${operands[0]}>();`;
  if (opcode !== 'cp.async.cg.shared.global' || operands[2] !== '16') return undefined;
  const [to, from] = operands.map((one) => (one.startsWith('[') ? address(one, context) : one));
  return `copy_sixteen(${to}, ${from}, ${value(operands[3], 'u32', context)});`;
}

function loadMatrices({ opcode, operands: [to, from] }, context) {
  const form = /^ldmatrix\.sync\.aligned\.m8n8\.x4(\.trans)?\.shared\.b16$/.exec(opcode);
  if (!form) return undefined;
  const name = form[1] ? 'matrices_transposed' : 'matrices';
  const targets = vector(to).map(register).join(', ');
  return `${name}(${address(from, context)}, ${targets});`;
}

function multiplyMatrices({ opcode, operands }) {
  if (opcode !== 'mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32') return undefined;
  const [d, a, b, c] = operands.map((one) => vector(one).map(register).join(', '));
  return `multiply_matrices({${a}}, {${b}}, {${c}}, ${d});`;
}

const barrier = ({ opcode, operands: [operand] }) => {
  if (opcode === 'bar.sync' && operand === '0') return 'sync_threads();';
  if (opcode === 'bar.warp.sync' && operand === '-1') return 'sync_warp();';
  return undefined;
};

const unary =
  (name) =>
  ({ parts, operands: [to, from] }, context) =>
    put(to, `${name}(${value(from, lastType(parts), context)})`);

/** Instructions by their whole name, where it says one thing alone. */
const EXACT = {
  ret: () => 'return;',
  'bra.uni': branch,
  bra: branch,
  'ex2.approx.ftz.f32': unary('quick_exp2'),
  'rcp.approx.ftz.f32': unary('quick_inverse'),
  'rcp.approx.ftz.f64': unary('quick_inverse'),
  'rcp.rn.f32': unary('1.0f / '),
  'sqrt.rn.f32': unary('std::sqrt'),
  'sqrt.rn.f64': unary('std::sqrt'),
  'div.rn.f32': logic('/'),
  'div.rn.f64': logic('/'),
  'copysign.f32': ({ operands: [to, sign, number] }, context) =>
    put(to, `std::copysign(${value(number, 'f32', context)}, ${value(sign, 'f32', context)})`),
  'atom.shared.add.u32': ({ operands: [to, from, number] }, context) =>
    put(to, `add_shared(${address(from, context)}, ${value(number, 'u32', context)})`),
  'popc.b32': unary('std::popcount'),
  'bfi.b32': ({ operands: [to, ...from] }, context) =>
    put(to, `insert_bits(${from.map((one) => value(one, 'u32', context)).join(', ')})`),
  'not.pred': ({ operands: [to, from] }) => `${register(to)} = !${register(from)};`,
  'cvta.to.global.u64': ({ operands: [to, from] }, context) => put(to, value(from, 'u64', context)),
};

/** Instructions by their first word. */
const FAMILIES = {
  add: arithmetic('sum'),
  sub: arithmetic('difference'),
  mul: multiply,
  mad: arithmetic('product_and_sum'),
  fma: fusedMultiplyAdd,
  div: call('quotient'),
  rem: call('remainder_of'),
  min: call('smaller'),
  max: call('larger'),
  abs: call('magnitude'),
  neg: call('negative'),
  and: logic('&'),
  or: logic('|'),
  xor: logic('^'),
  not: call('complement'),
  shl: ({ parts, operands: [to, a, count] }, context) =>
    put(to, `shifted_left(${value(a, lastType(parts), context)}, ${value(count, 'u32', context)})`),
  shr: ({ parts, operands: [to, a, count] }, context) =>
    put(
      to,
      `shifted_right(${value(a, lastType(parts), context)}, ${value(count, 'u32', context)})`,
    ),
  setp: compare,
  selp: select,
  cvt: convert,
  mov: move,
  ld: load,
  st: store,
  shfl: shuffle,
  vote,
  cp: copyAsync,
  ldmatrix: loadMatrices,
  mma: multiplyMatrices,
  bar: barrier,
};

/** The statement that does what `instruction` does; throws with its line where it is not known. */
export function statementOf(instruction, context) {
  const { opcode, parts, guard, line } = instruction;
  const translate = EXACT[opcode] ?? FAMILIES[parts[0]];
  let text;
  try {
    text = translate?.(instruction, context);
  } catch (error) {
    throw new Error(`line ${line}: ${error.message}`, { cause: error });
  }
  if (text === undefined) throw new Error(`line ${line}: no instruction that is known: ${opcode}`);
  if (guard === undefined) return text;
  return `if (${guard.not ? '!' : ''}${register(guard.register)}) { ${text} }`;
}
