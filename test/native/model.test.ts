// Loading models: what they say of themselves, adapters, disposal, settings, and every refusal.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attribute } from '../../lib/attribution.js';
import { computeLogits } from '../../lib/logits.js';
import { loadModel, type LoadModelOptions } from '../../lib/model.js';
import { callNative, native } from '../../lib/native.js';
import { largestDifference, referenceFolder, referencePairs, storiesFolder } from './fixtures.js';
import { writeLora, writeSafetensors } from './safetensors.js';

const qwen2 = path.join(referenceFolder, 'qwen2');
let scratch: string;
beforeAll(() => {
  scratch = mkdtempSync(path.join(os.tmpdir(), 'headspark-model-'));
});
afterAll(() => rmSync(scratch, { recursive: true }));

/** A copy of the qwen2 fixture whose config is changed. */
function variant(name: string, change: Record<string, unknown>): string {
  const folder = path.join(scratch, name);
  mkdirSync(folder);
  const config = JSON.parse(readFileSync(path.join(qwen2, 'config.json'), 'utf8'));
  writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ ...config, ...change }));
  cpSync(path.join(qwen2, 'model.safetensors'), path.join(folder, 'model.safetensors'));
  return folder;
}

const refusal = (code: string, message: RegExp) => ({
  name: 'HeadsparkError',
  code: `ERR_HEADSPARK_${code}`,
  message: expect.stringMatching(message),
});

describe('info', () => {
  it('describes a model', async () => {
    const model = await loadModel(qwen2, { threads: 1 });
    expect(model.info).toMatchObject({
      architecture: 'qwen2',
      modelType: 'qwen2',
      layers: 4,
      heads: 6,
      keyValueHeads: 2,
      hidden: 96,
      intermediate: 144,
      vocab: 307,
      maxPositions: 128,
      parallelBlock: false,
      threads: 1,
      device: 'cpu',
      label: 'qwen2',
      folder: qwen2,
    });
    expect(model.info.parameterCount).toBeGreaterThan(100_000);
    expect(model.info.mappedBytes).toBeGreaterThan(model.info.parameterCount * 2 - 1);
    expect(model.info.isa).toBe(native().deviceInfo().isa);
    expect(model.info).not.toHaveProperty('adapterFolder');
    expect(model.tokenizer).toBeUndefined();
    expect(model.shape()).toEqual({
      layers: 4,
      heads: 6,
      keyValueHeads: 2,
      parallelBlock: false,
      kvEdges: 'per-query-head',
    });
    expect(model.shape('grouped').kvEdges).toBe('grouped');
    model.dispose();
  });

  it('has a fingerprint of the content, not of the path', async () => {
    const copy = variant('same', {});
    const models = await Promise.all(
      [qwen2, copy, path.join(referenceFolder, 'neox')].map((folder) => loadModel(folder)),
    );
    const [original, copied, other] = models.map((model) => model.fingerprint());
    expect(original).toMatch(/^[0-9a-f]{32}$/);
    expect(copied).toBe(original);
    expect(other).not.toBe(original);
    expect(models[2].info.parallelBlock).toBe(true);
    for (const model of models) model.dispose();
  });

  it.skipIf(!storiesFolder)('has the tokenizer of the folder (needs ../shared)', async () => {
    const model = await loadModel(storiesFolder!.model);
    expect(model.tokenizer!.vocabSize).toBe(model.info.vocab);
    model.dispose();
  });
});

describe('adapters', () => {
  const lora = (name: string, scale: number) => writeLora(path.join(scratch, name), { scale });

  it('change the model, share the base, and replace one another', async () => {
    const [first, second] = [lora('first', 1), lora('second', 3)];
    const prompt = [[5, 9, 2]];
    const base = await loadModel(qwen2);
    const adapted = await base.withAdapter(first);
    const loaded = await loadModel(qwen2, { adapter: first });
    const logits = await computeLogits(adapted, prompt);
    expect(await computeLogits(loaded, prompt)).toEqual(logits);
    expect(largestDifference(await computeLogits(base, prompt), logits)).toBeGreaterThan(1e-3);
    expect(adapted.info).toMatchObject({ adapterFolder: first, label: 'qwen2+first' });
    expect(loaded.info.label).toBe('qwen2+first');
    expect(adapted.fingerprint()).toBe(loaded.fingerprint());
    expect(adapted.fingerprint()).not.toBe(base.fingerprint());

    const replaced = await loaded.withAdapter(second);
    expect(replaced.info).toMatchObject({ adapterFolder: second, label: 'qwen2+second' });
    const direct = await base.withAdapter(second);
    expect(replaced.fingerprint()).toBe(direct.fingerprint());
    base.dispose();
    expect(await computeLogits(adapted, prompt)).toEqual(logits);
    for (const model of [adapted, loaded, replaced, direct]) model.dispose();
  });

  it('are refused when the folder or its kind is wrong', async () => {
    const base = await loadModel(qwen2);
    await expect(base.withAdapter(path.join(scratch, 'nowhere'))).rejects.toMatchObject(
      refusal('FILE_NOT_FOUND', /adapter_config\.json/),
    );
    const prefix = lora('prefix', 1);
    const file = path.join(prefix, 'adapter_config.json');
    const config = { ...JSON.parse(readFileSync(file, 'utf8')), peft_type: 'PREFIX_TUNING' };
    writeFileSync(file, JSON.stringify(config));
    await expect(base.withAdapter(prefix)).rejects.toMatchObject(
      refusal('UNSUPPORTED_ADAPTER', /PREFIX_TUNING/),
    );
    base.dispose();
  });
});

describe('disposal', () => {
  it('makes every later use an error that names the model', async () => {
    const model = await loadModel(qwen2);
    const pairs = await referencePairs(2);
    model.dispose();
    model.dispose();
    const disposed = refusal('INVALID_ARGUMENT', /model qwen2 was disposed/);
    expect(() => model.fingerprint()).toThrowError(expect.objectContaining(disposed));
    await expect(computeLogits(model, [[1]])).rejects.toMatchObject(disposed);
    await expect(attribute(model, pairs)).rejects.toMatchObject(disposed);
    await expect(model.withAdapter(scratch)).rejects.toMatchObject(disposed);
    expect(model.info.layers).toBe(4);
  });

  it('lets a computation that runs already end', async () => {
    const model = await loadModel(qwen2);
    const pairs = await referencePairs();
    const whole = await attribute(model, pairs);
    const running = attribute(model, pairs);
    model.dispose();
    expect((await running).scores).toEqual(whole.scores);
  });

  it('is also checked by the addon, and foreign handles are refused', async () => {
    const options = {
      folder: qwen2,
      checkValues: true,
      threads: 1,
      memoryBytes: 0,
      device: 'cpu',
      batchTokens: 0,
      sharePrefix: true,
      precision: 'exact' as const,
    };
    const handle = await native().loadModel(options).promise;
    callNative((addon) => addon.releaseModel(handle));
    expect(() => callNative((addon) => addon.modelInfo(handle))).toThrowError(/was disposed/);
    for (const foreign of [{}, null, 5, () => 1, structuredClone({ ...handle })]) {
      expect(() => callNative((addon) => addon.modelInfo(foreign as never))).toThrowError(
        /modelInfo takes the handle of a model that this thread loaded/,
      );
      expect(() => callNative((addon) => addon.runSweep(foreign as never, {} as never))).toThrow(
        /takes the handle of a sweep/,
      );
    }
    expect(() => callNative((addon) => addon.runSweep(handle as never, {} as never))).toThrow(
      /takes the handle of a sweep/,
    );
  });
});

describe('refusals', () => {
  const cases: [string, string, RegExp, () => string][] = [
    ['an absent folder', 'FILE_NOT_FOUND', /neither an existing folder/, () => './no/such/folder'],
    ['an architecture', 'UNSUPPORTED_ARCHITECTURE', /mamba/i, () =>
      variant('mamba', { model_type: 'mamba', architectures: ['MambaForCausalLM'] })],
    ['a config without layers', 'CONFIG', /num_hidden_layers/, () =>
      variant('no-layers', { num_hidden_layers: 'four' })],
    ['a missing tensor', 'TENSOR_MISSING', /layers\.4/, () =>
      variant('more-layers', { num_hidden_layers: 5, layer_types: undefined })],
    ['a tensor of another shape', 'TENSOR_SHAPE', /\[/, () =>
      variant('wider', { intermediate_size: 145 })],
    ['a truncated file', 'FILE_CORRUPT', /model\.safetensors/, () => {
      const folder = variant('truncated', {});
      const file = path.join(folder, 'model.safetensors');
      writeFileSync(file, readFileSync(file).subarray(0, 5000));
      return folder;
    }],
    ['a NaN weight', 'TENSOR_VALUE', /norm/, () => {
      const folder = variant('nan', {});
      writeSafetensors(path.join(folder, 'model.safetensors'), {
        from: path.join(qwen2, 'model.safetensors'),
        poison: /norm/,
      });
      return folder;
    }],
    ['integer weights', 'TENSOR_DTYPE', /I16|dtype/i, () => {
      const folder = variant('integers', {});
      writeSafetensors(path.join(folder, 'model.safetensors'), {
        from: path.join(qwen2, 'model.safetensors'),
        dtype: 'I16',
      });
      return folder;
    }],
  ];

  it.each(cases)('%s: ERR_HEADSPARK_%s', async (_name, code, message, make) => {
    await expect(loadModel(make())).rejects.toMatchObject(refusal(code, message));
  });

  it('lets NaN weights pass when asked to', async () => {
    const model = await loadModel(path.join(scratch, 'nan'), { checkValues: false });
    await expect(attribute(model, await referencePairs(2))).rejects.toMatchObject(
      refusal('TENSOR_VALUE', /finite/),
    );
    model.dispose();
  });

  it.each<[LoadModelOptions, string, RegExp]>([
    [{ threads: 1.5 }, 'INVALID_ARGUMENT', /^threads is 1\.5; .* from 0 to 1024/],
    [{ threads: -1 }, 'INVALID_ARGUMENT', /^threads is -1/],
    [{ memoryBytes: Number.NaN }, 'INVALID_ARGUMENT', /^memoryBytes is NaN/],
    [{ batchTokens: 2 ** 40 }, 'INVALID_ARGUMENT', /^batchTokens is/],
    [{ device: 'tpu' }, 'INVALID_ARGUMENT', /^device is "tpu"; it must be cpu, auto or cuda:N/],
    [{ sharePrefix: 'yes' as never }, 'INVALID_ARGUMENT', /^sharePrefix is "yes"/],
    [{ base: qwen2 }, 'INVALID_ARGUMENT', /a base is only for/],
    [{ adapter: qwen2 }, 'FILE_NOT_FOUND', /adapter_config\.json/],
  ])('option %o', async (options, code, message) => {
    await expect(loadModel(qwen2, options)).rejects.toMatchObject(refusal(code, message));
  });

  it('says what a GPU device lacks in a build or on a machine without one', async () => {
    const { devices } = native().deviceInfo().gpu;
    const usable = devices.find(({ problem }) => problem === null);
    if (usable?.index === 0) {
      const model = await loadModel(qwen2, { device: 'cuda:0' });
      expect(model.info.device).toBe('cuda:0');
      return model.dispose();
    }
    await expect(loadModel(qwen2, { device: 'cuda:0' })).rejects.toMatchObject(
      refusal('DEVICE', /CUDA|GPU/),
    );
    const model = await loadModel(qwen2, { device: 'auto' });
    expect(model.info.device).toBe('cpu');
    model.dispose();
  });

  it('a signal that is aborted already', async () => {
    await expect(loadModel(qwen2, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CANCELLED',
    });
  });
});
