// Writes the pickle of a dict of plain values and tensors as torch.save does (protocol 2), in the
// form that torch.load(weights_only=True) accepts. Tensor data goes to storages of its own.

const PROTOCOL_2 = Buffer.from([0x80, 2]);
const OP = {
  mark: Buffer.from('('),
  emptyDict: Buffer.from('}'),
  emptyTuple: Buffer.from(')'),
  emptyList: Buffer.from(']'),
  setItems: Buffer.from('u'),
  appends: Buffer.from('e'),
  tuple: Buffer.from('t'),
  persistentId: Buffer.from('Q'),
  reduce: Buffer.from('R'),
  stop: Buffer.from('.'),
  true: Buffer.from([0x88]),
  false: Buffer.from([0x89]),
} as const;

/** A contiguous tensor to pickle: float32, or bool held as 0 and 1 in bytes. */
export interface TensorToPickle {
  readonly data: Float32Array | Uint8Array;
  readonly size: readonly number[];
}

export type Picklable =
  | string
  | number
  | boolean
  | TensorToPickle
  | readonly string[]
  | { readonly [key: string]: Picklable };

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  const head = Buffer.alloc(5);
  head.write('X');
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) {
    bytes.write('J');
    bytes.writeInt32LE(value, 1);
    return bytes.subarray(0, 5);
  }
  bytes.write('G');
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function tuple(values: readonly number[]): Buffer {
  return Buffer.concat([OP.mark, ...values.map(number), OP.tuple]);
}

function isTensor(value: Picklable): value is TensorToPickle {
  return typeof value === 'object' && 'data' in value && ArrayBuffer.isView(value.data);
}

function isList(value: Picklable): value is readonly string[] {
  return Array.isArray(value);
}

class Pickler {
  readonly parts: Buffer[] = [PROTOCOL_2];
  readonly storages: Uint8Array[] = [];

  write(value: Picklable): void {
    if (typeof value === 'string') this.parts.push(text(value));
    else if (typeof value === 'number') this.parts.push(number(value));
    else if (typeof value === 'boolean') this.parts.push(value ? OP.true : OP.false);
    else if (isTensor(value)) this.#tensor(value);
    else if (isList(value)) {
      this.parts.push(OP.emptyList, OP.mark, ...value.map(text), OP.appends);
    } else {
      this.parts.push(OP.emptyDict, OP.mark);
      for (const [key, item] of Object.entries(value)) {
        this.parts.push(text(key));
        this.write(item);
      }
      this.parts.push(OP.setItems);
    }
  }

  /** _rebuild_tensor_v2(storage, offset, size, stride, requires_grad, OrderedDict()) */
  #tensor({ data, size }: TensorToPickle): void {
    const storage = data instanceof Float32Array ? 'FloatStorage' : 'BoolStorage';
    const key = String(this.storages.length);
    this.storages.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    const stride = size.map((_, axis) =>
      size.slice(axis + 1).reduce((product, extent) => product * extent, 1),
    );
    this.parts.push(
      Buffer.from('ctorch._utils\n_rebuild_tensor_v2\n'),
      OP.mark,
      OP.mark,
      text('storage'),
      Buffer.from(`ctorch\n${storage}\n`),
      text(key),
      text('cpu'),
      number(data.length),
      OP.tuple,
      OP.persistentId,
      number(0),
      tuple(size),
      tuple(stride),
      OP.false,
      Buffer.from('ccollections\nOrderedDict\n'),
      OP.emptyTuple,
      OP.reduce,
      OP.tuple,
      OP.reduce,
    );
  }
}

/** The pickle of a dict and the raw bytes of its tensors, storage i for zip entry `data/i`. */
export function pickle(value: { readonly [key: string]: Picklable }): {
  pickle: Buffer;
  storages: Uint8Array[];
} {
  const pickler = new Pickler();
  pickler.write(value);
  return { pickle: Buffer.concat([...pickler.parts, OP.stop]), storages: pickler.storages };
}
