// Checkpoints of random weights: the same bytes for a seed, valid safetensors, sensible values.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { benchFolder, benchScript } from './scripts.js';

const { resolveShape, makeConfig, SHAPES } = await benchScript('checkpoint/shapes.mjs');
const { listTensors, targetModules } = await benchScript('checkpoint/tensors.mjs');
const { writeAdapter, writeCheckpoint } = await benchScript('checkpoint/write.mjs');
const { randomFiller, toBf16 } = await benchScript('checkpoint/random.mjs');

const tiny = { layers: 2, heads: 4, kvHeads: 2, hidden: 32, intermediate: 48, vocab: 97 };

let folder: string;
beforeEach(() => (folder = mkdtempSync(path.join(os.tmpdir(), 'headspark-bench-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function parse(file: string) {
  const bytes = readFileSync(file);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<string, any>;
  return { header, dataBegin: 8 + length, data: bytes.subarray(8 + length) };
}

const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');

describe('the written file', () => {
  it('has the same bytes for a seed, on every machine, and others for another seed', async () => {
    const shape = resolveShape(undefined, tiny);
    const names = ['a', 'b', 'c'];
    for (const name of names) {
      await writeCheckpoint(path.join(folder, name), shape, { seed: name === 'c' ? 8 : 7 });
    }
    const [a, b, c] = names.map((name) => hash(path.join(folder, name, 'model.safetensors')));
    expect(a).toBe(b);
    expect(c).not.toBe(a);
    expect(a).toBe('c6da46faa9d9d49ea6dfd83ef7daf7a89589d01d705d88e4c2ef96ea8b490e5a');
    expect(readdirSync(path.join(folder, 'a')).sort()).toEqual([
      'config.json',
      'model.safetensors',
    ]);
  });

  it.each(['bf16', 'f32'])('is a safetensors file without gaps: %s', async (dtype) => {
    const shape = resolveShape(undefined, { ...tiny, tied: false });
    await writeCheckpoint(folder, shape, { dtype });
    const { header, dataBegin, data } = parse(path.join(folder, 'model.safetensors'));
    expect(dataBegin % 8).toBe(0);
    expect(header.__metadata__).toEqual({ format: 'pt' });
    let end = 0;
    const width = dtype === 'bf16' ? 2 : 4;
    for (const { name, shape: sizes } of listTensors(shape)) {
      const entry = header[name];
      expect(entry.dtype).toBe(dtype === 'bf16' ? 'BF16' : 'F32');
      expect(entry.shape).toEqual(sizes);
      const bytes = sizes.reduce((a: number, b: number) => a * b, width);
      expect(entry.data_offsets).toEqual([end, end + bytes]);
      end += bytes;
    }
    expect(data.length).toBe(end);
  });

  it('holds the fp32 values rounded to bf16', async () => {
    const shape = resolveShape(undefined, tiny);
    for (const dtype of ['bf16', 'f32']) {
      await writeCheckpoint(path.join(folder, dtype), shape, { dtype });
    }
    const [narrow, wide] = ['bf16', 'f32'].map(
      (dtype) => parse(path.join(folder, dtype, 'model.safetensors')).data,
    );
    for (let i = 0; i < narrow.length / 2; i++) {
      const value = wide.readFloatLE(4 * i);
      const rounded = Buffer.alloc(4);
      rounded.writeUInt16LE(narrow.readUInt16LE(2 * i), 2);
      // Half a unit in the last of bf16's 8 bits.
      expect(Math.abs(rounded.readFloatLE() - value)).toBeLessThanOrEqual(Math.abs(value) / 256);
    }
  });

  it('is an adapter of all linear layers, as PEFT saves it', async () => {
    const shape = resolveShape(undefined, { ...tiny, architecture: 'qwen2' });
    await writeAdapter(folder, shape, 3, { dtype: 'f32' });
    const config = JSON.parse(readFileSync(path.join(folder, 'adapter_config.json'), 'utf8'));
    const attention = ['q_proj', 'k_proj', 'v_proj', 'o_proj'];
    const modules = [...attention, 'gate_proj', 'up_proj', 'down_proj'];
    expect(config).toMatchObject({ peft_type: 'LORA', r: 3, target_modules: modules });
    const { header, data } = parse(path.join(folder, 'adapter_model.safetensors'));
    expect(Object.keys(header)).toHaveLength(1 + 2 * 7 * 2);
    const stem = 'base_model.model.model.layers.1.mlp.down_proj';
    expect(header[`${stem}.lora_A.weight`].shape).toEqual([3, 48]);
    expect(header[`${stem}.lora_B.weight`].shape).toEqual([32, 3]);
    expect(header[`${stem}.lora_B.weight`].data_offsets[1]).toBe(data.length);
    await expect(writeAdapter(folder, shape, 3, {})).rejects.toThrow(/exists already/);
    const gpt2 = resolveShape(undefined, { ...tiny, kvHeads: 4, architecture: 'gpt2' });
    expect(targetModules(gpt2)).toEqual(['c_attn', 'c_proj', 'c_fc']);
  });

  it('replaces nothing and leaves nothing half-written', async () => {
    const shape = resolveShape(undefined, tiny);
    await writeCheckpoint(folder, shape, {});
    await expect(writeCheckpoint(folder, shape, {})).rejects.toThrow(/exists already/);
    const other = path.join(folder, 'other');
    const fail = () => {
      throw new Error('stopped');
    };
    await expect(writeCheckpoint(other, shape, { onProgress: fail })).rejects.toThrow('stopped');
    expect(readdirSync(other)).toEqual([]);
  });
});

describe('random values', () => {
  it('have the mean and deviation asked for', () => {
    const values = randomFiller(1, 'w', { mean: 1, deviation: 0.5 })(new Float32Array(100_000));
    const mean = values.reduce((sum: number, v: number) => sum + v, 0) / values.length;
    const square = values.reduce((sum: number, v: number) => sum + (v - mean) ** 2, 0);
    expect(Math.abs(mean - 1)).toBeLessThan(0.01);
    expect(Math.abs(Math.sqrt(square / values.length) - 0.5)).toBeLessThan(0.01);
  });

  it('do not depend on the pieces they are made in', () => {
    const whole = randomFiller(1, 'w', { mean: 0, deviation: 1 })(new Float32Array(100));
    const fill = randomFiller(1, 'w', { mean: 0, deviation: 1 });
    const pieces = [fill(new Float32Array(37)), fill(new Float32Array(63))];
    expect([...pieces[0], ...pieces[1]]).toEqual([...whole]);
  });

  it('round ties to even', () => {
    const bits = new Uint32Array([0x3f808000, 0x3f818000, 0x3f808001]);
    const out = toBf16(new Float32Array(bits.buffer), Buffer.alloc(6));
    expect([0, 2, 4].map((at) => out.readUInt16LE(at))).toEqual([0x3f80, 0x3f82, 0x3f81]);
  });
});

describe('shapes', () => {
  it.each([
    ['smollm2-135m', 134_515_008],
    ['qwen2.5-0.5b', 494_032_768],
    ['qwen2.5-1.5b', 1_543_714_304],
  ])('%s has the parameters of the published model', (name, parameters) => {
    const tensors = listTensors(resolveShape(name)) as { shape: number[] }[];
    const count = tensors.reduce((sum, t) => sum + t.shape.reduce((a, b) => a * b, 1), 0);
    expect(count).toBe(parameters);
  });

  it('follow an override', () => {
    const shape = resolveShape('smollm2-135m', { layers: 2, heads: 6 });
    expect(shape).toMatchObject({ layers: 2, heads: 6, kvHeads: 6, headDim: 96, hidden: 576 });
    expect(SHAPES['smollm2-135m'].layers).toBe(30);
    expect(makeConfig(shape, 'f32')).toMatchObject({
      num_hidden_layers: 2,
      torch_dtype: 'float32',
    });
  });
});

describe('the command line', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [path.join(benchFolder, 'make-checkpoint.mjs'), ...args], {
      encoding: 'utf8',
    });

  it.each([
    ['no folder', [], /Name the folder to write/],
    ['an unknown shape', ['out', '--shape', 'gpt5'], /--shape gpt5 is unknown; these are: smollm2/],
    ['no sizes', ['out'], /--layers is missing/],
    [
      'a size that is none',
      ['out', '--shape', 'smollm2-135m', '--layers', 'x'],
      /--layers must be/,
    ],
    [
      'heads',
      ['out', '--shape', 'smollm2-135m', '--kv-heads', '4'],
      /not a multiple of --kv-heads/,
    ],
    [
      'an unknown dtype',
      ['out', '--shape', 'smollm2-135m', '--dtype', 'f8'],
      /--dtype f8 is unknown/,
    ],
    [
      'a rank that is none',
      ['out', '--shape', 'smollm2-135m', '--adapter-rank', '0'],
      /--adapter-rank must be/,
    ],
    ['a wrong seed', ['out', '--shape', 'smollm2-135m', '--seed', 'x'], /--seed must be/],
    ['an unknown option', ['out', '--shap', 'x'], /shap/],
    [
      'an unknown architecture',
      ['out', '--shape', 'smollm2-135m', '--architecture', 'mamba'],
      /--architecture mamba is unknown/,
    ],
    [
      'grouped heads for gpt2',
      ['out', '--shape', 'smollm2-135m', '--architecture', 'gpt2'],
      /gpt2 has no --kv-heads/,
    ],
  ])('refuses %s in one sentence', (_, args, message) => {
    const { status, stdout, stderr } = run(...args.map((a) => (a === 'out' ? folder : a)));
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/\[ERR_HEADSPARK_[A-Z_]+\]\n$/);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(existsSync(path.join(folder, 'model.safetensors'))).toBe(false);
  });
});
