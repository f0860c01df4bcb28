// Writes the small safetensors files and LoRA adapters that the model tests load or refuse.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

interface TensorEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

function encode(header: object, data: Buffer): Buffer {
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(Math.ceil(text.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, data]);
}

/** A copy of `from` with NaN in every tensor whose name matches `poison`, or another dtype label. */
export function writeSafetensors(
  file: string,
  change: { from: string; poison?: RegExp; dtype?: string },
): void {
  const bytes = readFileSync(change.from);
  const headerEnd = 8 + Number(bytes.readBigUInt64LE(0));
  const header: Record<string, TensorEntry> = JSON.parse(bytes.toString('utf8', 8, headerEnd));
  const data = Buffer.from(bytes.subarray(headerEnd));
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const [begin, end] = entry.data_offsets;
    // All bits set are NaN in fp32, fp16 and bf16.
    if (change.poison?.test(name)) data.fill(0xff, begin, end);
    if (change.dtype) entry.dtype = change.dtype;
  }
  writeFileSync(file, encode(header, data));
}

/** A rank-2 PEFT LoRA for q_proj of the qwen2 fixture's layer 1; returns its folder. */
export function writeLora(folder: string, options: { scale: number }): string {
  const hidden = 96;
  const rank = 2;
  const module = 'base_model.model.model.layers.1.self_attn.q_proj';
  const wave = (index: number): number => Math.sin(index * 1.7) * options.scale;
  const values = Float32Array.from({ length: 2 * rank * hidden }, (_, index) => wave(index));
  const half = rank * hidden * 4;
  const header = {
    [`${module}.lora_A.weight`]: { dtype: 'F32', shape: [rank, hidden], data_offsets: [0, half] },
    [`${module}.lora_B.weight`]: {
      dtype: 'F32',
      shape: [hidden, rank],
      data_offsets: [half, 2 * half],
    },
  };
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'adapter_model.safetensors');
  writeFileSync(file, encode(header, Buffer.from(values.buffer)));
  const config = {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    base_model_name_or_path: 'qwen2',
    r: rank,
    lora_alpha: 4,
    target_modules: ['layers.1.self_attn.q_proj'],
    bias: 'none',
  };
  writeFileSync(path.join(folder, 'adapter_config.json'), JSON.stringify(config));
  return folder;
}
