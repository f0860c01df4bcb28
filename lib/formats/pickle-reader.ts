// A reader for the small part of Python's pickle protocol 2 that torch.save needs for a dict of
// plain values and tensors. It runs nothing: callables are names from a fixed list, every other
// opcode or name is refused by name.

import { formatError } from './reference-config.js';

/** A tensor as pickled: a view into a storage that lies in its own zip entry. */
export class PickledTensor {
  constructor(
    readonly storage: PickledStorage,
    /** Elements before the first one. */
    readonly offset: number,
    readonly size: readonly number[],
    readonly stride: readonly number[],
  ) {}
}

export class PickledStorage {
  constructor(
    /** `FloatStorage`, `DoubleStorage` or `BoolStorage`. */
    readonly type: string,
    /** Name of the zip entry under `data/`. */
    readonly key: string,
    readonly elements: number,
  ) {}
}

class Callable {
  constructor(readonly name: string) {}
}

export type PickleValue =
  | null
  | boolean
  | number
  | string
  | PickleValue[]
  | Map<PickleValue, PickleValue>
  | PickledTensor
  | PickledStorage
  | Callable;

const STORAGES = ['FloatStorage', 'DoubleStorage', 'BoolStorage'];
const CALLABLES = [
  'torch._utils _rebuild_tensor_v2',
  'collections OrderedDict',
  ...STORAGES.map((type) => `torch ${type}`),
];

const STOP = 0x2e;
const MARK = Symbol('mark');
type StackItem = PickleValue | typeof MARK;

class Unpickler {
  readonly #bytes: Buffer;
  readonly #file: string;
  readonly #stack: StackItem[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #at = 0;

  constructor(bytes: Buffer, file: string) {
    this.#bytes = bytes;
    this.#file = file;
  }

  #fail(problem: string): never {
    throw formatError(this.#file, `pickle at byte ${this.#at}: ${problem}`);
  }

  /** Claims the next `count` bytes and returns where they start. */
  #take(count: number): number {
    const start = this.#at;
    if (count > this.#bytes.length - start) this.#fail('it ends in the middle of a value');
    this.#at = start + count;
    return start;
  }

  #line(): string {
    const end = this.#bytes.indexOf(10, this.#at);
    if (end < 0 || end - this.#at > 200) this.#fail('a name is cut off or too long');
    return this.#bytes.toString('utf8', this.#take(end + 1 - this.#at), end);
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) this.#fail('a value is missing');
    return value;
  }

  #popToMark(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) this.#fail('a mark is missing');
    const values = this.#stack.splice(mark).slice(1);
    return values as PickleValue[];
  }

  #top(): PickleValue {
    const value = this.#pop();
    this.#stack.push(value);
    return value;
  }

  #setItems(items: PickleValue[]): void {
    const target = this.#top();
    if (!(target instanceof Map) || items.length % 2 !== 0) this.#fail('items without a dict');
    for (let index = 0; index < items.length; index += 2) {
      target.set(items[index], items[index + 1]);
    }
  }

  #append(items: PickleValue[]): void {
    const target = this.#top();
    if (!Array.isArray(target)) this.#fail('items without a list');
    for (const item of items) target.push(item);
  }

  #remember(slot: number): void {
    this.#memo.set(slot, this.#top());
  }

  #recall(slot: number): void {
    const value = this.#memo.get(slot);
    if (value === undefined) this.#fail(`memo ${slot} is empty`);
    this.#stack.push(value);
  }

  #global(): void {
    const name = `${this.#line()} ${this.#line()}`;
    if (!CALLABLES.includes(name)) {
      this.#fail(`'${name.replace(' ', '.')}' is refused; a circuit needs only tensors and dicts`);
    }
    this.#stack.push(new Callable(name));
  }

  #tuple(count: number): void {
    const values: PickleValue[] = [];
    for (let index = 0; index < count; index++) values.unshift(this.#pop());
    this.#stack.push(values);
  }

  #long(): number {
    const length = this.#byte();
    if (length > 6) this.#fail('a whole number is too large');
    return length === 0 ? 0 : this.#bytes.readIntLE(this.#take(length), length);
  }

  /** ('storage', type, key, location, elements) */
  #persistentId(): void {
    const id = this.#pop();
    if (!Array.isArray(id) || id.length !== 5 || id[0] !== 'storage') {
      this.#fail('an unknown kind of outside object is refused');
    }
    const [, type, key, , elements] = id;
    const name = type instanceof Callable ? type.name.replace('torch ', '') : '';
    if (!STORAGES.includes(name) || typeof key !== 'string' || !isCount(elements)) {
      this.#fail('a tensor storage is malformed');
    }
    this.#stack.push(new PickledStorage(name, key, elements));
  }

  #reduce(): void {
    const args = this.#pop();
    const callable = this.#pop();
    if (!(callable instanceof Callable) || !Array.isArray(args)) this.#fail('a call is malformed');
    if (callable.name === 'collections OrderedDict' && args.length === 0) {
      this.#stack.push(new Map());
      return;
    }
    const [storage, offset, size, stride] = args;
    if (
      callable.name !== 'torch._utils _rebuild_tensor_v2' ||
      !(storage instanceof PickledStorage) ||
      !isCount(offset) ||
      !isCounts(size) ||
      !isCounts(stride) ||
      size.length !== stride.length
    ) {
      this.#fail(`a call of ${callable.name.replace(' ', '.')} is malformed`);
    }
    this.#stack.push(new PickledTensor(storage, offset, size, stride));
  }

  /** Pushes the value of an opcode that stands for one; false for all other opcodes. */
  #literal(opcode: number): boolean {
    const value = this.#literalValue(opcode);
    if (value === undefined) return false;
    this.#stack.push(value);
    return true;
  }

  #literalValue(opcode: number): StackItem | undefined {
    switch (opcode) {
      case 0x28: // MARK
        return MARK;
      case 0x7d: // EMPTY_DICT
        return new Map();
      case 0x5d: // EMPTY_LIST
      case 0x29: // EMPTY_TUPLE
        return [];
      case 0x4e: // NONE
        return null;
      case 0x88: // NEWTRUE
        return true;
      case 0x89: // NEWFALSE
        return false;
      case 0x4b: // BININT1
        return this.#byte();
      case 0x4d: // BININT2
        return this.#bytes.readUInt16LE(this.#take(2));
      case 0x4a: // BININT
        return this.#bytes.readInt32LE(this.#take(4));
      case 0x47: // BINFLOAT
        return this.#bytes.readDoubleBE(this.#take(8));
      case 0x8a: // LONG1
        return this.#long();
      case 0x58: // BINUNICODE
        return this.#text(this.#word());
      default:
        return undefined;
    }
  }

  /** Opcodes that combine what is on the stack. */
  readonly #operations: ReadonlyMap<number, () => void> = new Map([
    [0x80, () => this.#protocol()],
    [0x74, () => this.#stack.push(this.#popToMark())], // TUPLE
    [0x85, () => this.#tuple(1)],
    [0x86, () => this.#tuple(2)],
    [0x87, () => this.#tuple(3)],
    [0x71, () => this.#remember(this.#byte())], // BINPUT
    [0x72, () => this.#remember(this.#word())], // LONG_BINPUT
    [0x68, () => this.#recall(this.#byte())], // BINGET
    [0x6a, () => this.#recall(this.#word())], // LONG_BINGET
    [0x73, () => this.#setItems(this.#lastTwo())], // SETITEM
    [0x75, () => this.#setItems(this.#popToMark())], // SETITEMS
    [0x61, () => this.#append([this.#pop()])], // APPEND
    [0x65, () => this.#append(this.#popToMark())], // APPENDS
    [0x63, () => this.#global()],
    [0x51, () => this.#persistentId()], // BINPERSID
    [0x52, () => this.#reduce()],
  ]);

  #byte(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  #word(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  #protocol(): void {
    const version = this.#byte();
    if (version !== 2) this.#fail(`protocol ${version} is refused; torch.save writes 2`);
  }

  #lastTwo(): PickleValue[] {
    const value = this.#pop();
    return [this.#pop(), value];
  }

  #text(length: number): string {
    const start = this.#take(length);
    return this.#bytes.toString('utf8', start, start + length);
  }

  load(): PickleValue {
    for (let opcode = this.#byte(); opcode !== STOP; opcode = this.#byte()) {
      if (this.#literal(opcode)) continue;
      const operation = this.#operations.get(opcode);
      if (!operation) this.#fail(`opcode 0x${opcode.toString(16).padStart(2, '0')} is refused`);
      operation();
    }
    return this.#pop();
  }
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function isCounts(value: PickleValue | undefined): value is number[] {
  return Array.isArray(value) && value.length <= 8 && value.every(isCount);
}

/** Decodes a pickle. Throws ERR_HEADSPARK_CIRCUIT_FORMAT; runs no code whatever it says. */
export function unpickle(bytes: Buffer, file: string): PickleValue {
  return new Unpickler(bytes, file).load();
}
