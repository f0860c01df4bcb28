// A file of PTX as one of C++: a function for each kernel, which a thread of the emulated device
// calls, and a table of them by name.
import { parsePtx } from './parse.mjs';
import { label, register, statementOf } from './instructions.mjs';

const CLASSES = {
  pred: 'bool',
  b16: 'std::uint16_t',
  b32: 'std::uint32_t',
  f32: 'std::uint32_t',
  b64: 'std::uint64_t',
  f64: 'std::uint64_t',
};

/** What nvcc calls a file's own namespace, as g++ does. */
const asHost = (name) =>
  name.replace(/(\d+)(_GLOBAL__N__\w*)/, (whole, length, text) => {
    const rest = text.slice(Number(length));
    return `12_GLOBAL__N_1${rest}`;
  });

/** Declarations of registers: those of the whole kernel, or of a pair of braces. */
function declaration({ type, name, count }) {
  const cpp = CLASSES[type];
  if (cpp === undefined) throw new Error(`no registers of type ${type} are known`);
  const names =
    count === undefined ? [name] : Array.from({ length: count - 1 }, (_, i) => `${name}${i + 1}`);
  return names.length === 0 ? '' : `${cpp} ${names.map((one) => `${register(one)}`).join(', ')};`;
}

/** The statements of a kernel; each names its line of PTX. */
function body(kernel, context, file) {
  const lines = [];
  let next = 0; // the line that the compiler counts up to by itself
  for (const statement of kernel.body) {
    const { kind, line } = statement;
    if (kind === 'instruction' && line !== next) lines.push(`#line ${line} "${file}"`);
    if (kind === 'brace') lines.push(statement.text);
    if (kind === 'label') lines.push(`${label(statement.name)}:;`);
    if (kind === 'registers') lines.push(declaration(statement));
    if (kind === 'instruction') {
      lines.push(statementOf(statement, context));
      next = line + 1;
    } else {
      next = 0;
    }
  }
  return lines;
}

/** C++ for all kernels of `text`; `file` is what errors call it. */
export function translate(text, file) {
  const { kernels, shared } = parsePtx(text);
  const functions = kernels.map((kernel, i) => {
    const context = { shared, parameter: kernel.parameters[0].name };
    return [
      `void kernel_${i}([[maybe_unused]] std::uint64_t parameters) {`,
      ...body(kernel, context, file),
      '}',
    ].join('\n');
  });
  const table = kernels.map(
    ({ name, parameters }, i) => `    {"${asHost(name)}", ${parameters[0].bytes}, &kernel_${i}},`,
  );
  return [
    '// Made by scripts/checks/ptx from what nvcc made of a file of kernels.',
    '#include "cuda_emulation/ptx/machine.h"',
    '#include "cuda_emulation/ptx/kernels.h"',
    'namespace headspark::cuda_emulation::ptx {',
    'namespace {',
    ...functions,
    'const Registration registration({',
    ...table,
    '});',
    '}  // namespace',
    '}  // namespace headspark::cuda_emulation::ptx',
    '',
  ].join('\n');
}
