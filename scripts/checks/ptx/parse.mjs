// Reads what nvcc writes as PTX for this project's kernels: their parameters, and their instructions
// one by one. Anything it does not know is an error with its line, so that nothing is passed over.

/** Lines that say how code is to be compiled, not what it does. */
const SILENT = /^\.(version|target|address_size|maxntid|minnctapersm|pragma)\b/;
const ENTRY = /^(?:\.visible |\.weak )?\.entry (\S+)\($/;
const PARAMETER = /^\.param \.align \d+ \.b8 (\S+)\[(\d+)\]$/;
const REGISTERS = /^\.reg \.(\w+)\s+(%\w+)(?:<(\d+)>)?;$/;
const LABEL = /^(\$\w+):$/;
const INSTRUCTION = /^(?:@(!?)(%p\d+)\s+)?([a-z][\w.:]*)\s*(.*);$/;

/** Operands at commas that no bracket encloses. */
function operandsOf(text) {
  const operands = [];
  let depth = 0;
  let operand = '';
  for (const character of text) {
    if ('{['.includes(character)) ++depth;
    if ('}]'.includes(character)) --depth;
    if (character === ',' && depth === 0) {
      operands.push(operand.trim());
      operand = '';
    } else {
      operand += character;
    }
  }
  if (operand.trim() !== '') operands.push(operand.trim());
  return operands;
}

/** One statement of a kernel's body: a label, registers, a brace or an instruction. */
function statement(text, line) {
  if (text === '{' || text === '}') return { kind: 'brace', text, line };
  const label = LABEL.exec(text);
  if (label) return { kind: 'label', name: label[1], line };
  const registers = REGISTERS.exec(text);
  if (registers) {
    const [, type, name, count] = registers;
    return { kind: 'registers', type, name, count: count && Number(count), line };
  }
  const instruction = INSTRUCTION.exec(text);
  if (!instruction) throw new Error(`line ${line}: no statement of PTX that is known: ${text}`);
  const [, not, guard, opcode, operands] = instruction;
  return {
    kind: 'instruction',
    guard: guard && { register: guard, not: not === '!' },
    parts: opcode.split('.'),
    opcode,
    operands: operandsOf(operands),
    line,
  };
}

/** Statements that a line holds: a brace may stand beside others. */
const statementsOf = (text) =>
  text
    .replace(/^(\{)(?=.)/, '$1\n')
    .replace(/;\s*(?=\S)/g, ';\n')
    .split('\n')
    .map((part) => part.trim())
    .filter((part) => part !== '');

/** Follows the lines of a file from one kernel to the next. */
class Reader {
  kernels = [];
  shared = new Set();
  current = undefined;
  depth = 0;

  /** A line outside of any body. */
  outside(text, line) {
    const entry = ENTRY.exec(text);
    const parameter = PARAMETER.exec(text);
    const shared = /^\.extern \.shared \.align \d+ \.b8 (\S+)\[\];$/.exec(text);
    if (entry) {
      this.current = { name: entry[1], parameters: [], body: [] };
      this.kernels.push(this.current);
    } else if (parameter) {
      this.current.parameters.push({ name: parameter[1], bytes: Number(parameter[2]) });
    } else if (shared) {
      this.shared.add(shared[1]);
    } else if (text === '{') {
      this.depth = 1;
    } else if (text !== ')' && !SILENT.test(text)) {
      throw new Error(`line ${line}: no declaration of PTX that is known: ${text}`);
    }
  }

  read(text, line) {
    if (this.depth === 0) {
      this.outside(text, line);
      return;
    }
    if (SILENT.test(text)) return;
    for (const part of statementsOf(text)) {
      this.depth += part === '{' ? 1 : part === '}' ? -1 : 0;
      if (this.depth > 0) this.current.body.push(statement(part, line));
    }
  }
}

/** The kernels of a file of PTX, and the names of its arrays in shared memory. */
export function parsePtx(text) {
  const reader = new Reader();
  text.split('\n').forEach((whole, i) => {
    const line = whole.replace(/\/\/.*/, '').trim();
    if (line !== '') reader.read(line, i + 1);
  });
  for (const { name, parameters } of reader.kernels) {
    if (parameters.length !== 1) throw new Error(`${name} does not take one struct by value`);
  }
  return { kernels: reader.kernels, shared: reader.shared };
}
