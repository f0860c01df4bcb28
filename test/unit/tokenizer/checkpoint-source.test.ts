// Finding a checkpoint's files: folders, adapters and their bases, and the hub with its cache.
import { mkdir, mkdtemp, readFile, readdir, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseHubId, resolveCheckpoint, type HubOptions } from '../../../lib/checkpoint-source.js';
import { isWantedFile } from '../../../lib/checkpoint-files.js';
import { sharedPath } from './fixtures.js';
import { startFakeHub, type FakeHub } from './fake-hub.js';

let folder: string;
beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'headspark-source-')));
});
afterEach(() => rm(folder, { recursive: true }));

async function make(name: string, files: Record<string, string>): Promise<string> {
  const path = join(folder, name);
  await mkdir(path, { recursive: true });
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text);
  return path;
}

const modelFiles = { 'config.json': '{}', 'model.safetensors': 'weights', 'notes.txt': '' };
const adapterFiles = (base?: string): Record<string, string> => ({
  'adapter_config.json': JSON.stringify(
    base === undefined ? {} : { base_model_name_or_path: base },
  ),
  'adapter_model.safetensors': 'x',
});

describe('folders', () => {
  it('lists what matters', async () => {
    const model = await make('m', { ...modelFiles, 'tokenizer.json': '{}' });
    expect(await resolveCheckpoint({ model })).toEqual({
      folder: model,
      tokenizerFolder: model,
      id: model,
      files: ['config.json', 'model.safetensors', 'tokenizer.json'],
      label: 'm',
    });
  });

  it.each([
    [{ 'model.safetensors': '' }, 'has no config.json (its files: model.safetensors)'],
    [{ 'config.json': '{}', 'pytorch_model.bin': '' }, 'has no *.safetensors weights'],
    [{}, 'has no config.json (its files: none of a checkpoint)'],
  ])('names what is missing from %j', async (files, part) => {
    const model = await make('m', files);
    await expect(resolveCheckpoint({ model })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
      message: expect.stringContaining(`the model ${model} ${part}`) as string,
    });
  });

  it('refuses what is neither folder nor id', async () => {
    await expect(resolveCheckpoint({ model: join(folder, 'none') })).rejects.toThrow('neither');
    await expect(resolveCheckpoint({ model: '' })).rejects.toThrow('neither');
    const model = await make('m', modelFiles);
    await expect(resolveCheckpoint({ model: join(model, 'config.json') })).rejects.toThrow(
      'is a file',
    );
  });
});

describe('the text of a checkpoint', () => {
  it('needs a tokenizer or a configuration, and no weights', async () => {
    const of = (model: string, adapter?: string) =>
      resolveCheckpoint({ model, textOnly: true, ...(adapter === undefined ? {} : { adapter }) });
    const tokenizer = await make('t', { 'tokenizer.json': '{}' });
    expect((await of(tokenizer)).tokenizerFolder).toBe(tokenizer);
    const model = await make('m', { 'config.json': '{}' });
    const adapter = await make('a', { 'adapter_config.json': '{"base_model_name_or_path":"m"}' });
    expect(await of(adapter)).toMatchObject({ folder: model, adapterFolder: adapter });
    expect(await of(model, adapter)).toMatchObject({ label: 'm+a', tokenizerFolder: model });
    await expect(of(await make('none', { 'x.json': '{}' }))).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_NOT_FOUND',
      message: expect.stringMatching(
        /has no tokenizer\.json and no config\.json \(its fi/,
      ) as string,
    });
  });
});

describe('adapters', () => {
  it('go on top of a model', async () => {
    const model = await make('m', modelFiles);
    const adapter = await make('adapters/a1', adapterFiles());
    const found = await resolveCheckpoint({ model, adapter });
    expect(found).toMatchObject({ folder: model, adapterFolder: adapter, label: 'm+a1' });
    expect(found.tokenizerFolder).toBe(model);
    await writeFile(join(adapter, 'tokenizer.json'), '{}');
    expect((await resolveCheckpoint({ model, adapter })).tokenizerFolder).toBe(adapter);
  });

  it.each([['../../m'], ['m'], ['/elsewhere/on/another/machine/m'], ['org/m']])(
    'find their base by %s',
    async (base) => {
      const model = await make('m', modelFiles);
      const adapter = await make('m/adapters/a1', adapterFiles(base));
      const beside = await make('runs/a2', adapterFiles(base));
      const found = await resolveCheckpoint({ model: beside });
      expect(found).toMatchObject({ folder: model, adapterFolder: beside });
      expect((await resolveCheckpoint({ model: adapter })).folder).toBe(model);
    },
  );

  const smollm = sharedPath('models', 'smollm2-135m', 'adapters', 'steps-step25');
  it.skipIf(!smollm)('find the base of the shared adapters', async () => {
    const request = resolveCheckpoint({ model: smollm! });
    // The shared folder has its weights packed: the base is found, and lacks safetensors.
    await expect(request).rejects.toThrow(/smollm2-135m has no \*\.safetensors weights/);
  });

  it('ask for the base when it cannot be found', async () => {
    const hub: HubOptions = { offline: true, cacheDir: join(folder, 'cache') };
    const unnamed = await make('a1', adapterFiles());
    await expect(resolveCheckpoint({ model: unnamed })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_CONFIG',
      message: expect.stringContaining('give the base model (the option base)') as string,
    });
    const lost = await make('a2', adapterFiles('/nowhere/at/all'));
    await expect(resolveCheckpoint({ model: lost, hub })).rejects.toThrow(
      /not found.*the option base/,
    );
    const remote = await make('a3', adapterFiles('org/elsewhere'));
    await expect(resolveCheckpoint({ model: remote, hub })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_NETWORK',
      message: expect.stringMatching(/"org\/elsewhere".*offline.*the option base/) as string,
    });
    const model = await make('m', modelFiles);
    const given = await resolveCheckpoint({ model: lost, base: model });
    expect(given).toMatchObject({ folder: model, adapterFolder: lost });
  });

  it('are checked against the options', async () => {
    const model = await make('m', modelFiles);
    const adapter = await make('a', adapterFiles('m'));
    await expect(resolveCheckpoint({ model: adapter, adapter })).rejects.toThrow('adapter itself');
    await expect(resolveCheckpoint({ model, base: model })).rejects.toThrow('a base is only');
    await expect(resolveCheckpoint({ model, adapter: model })).rejects.toThrow(
      'has no adapter_config.json',
    );
    await rm(join(adapter, 'adapter_model.safetensors'));
    await expect(resolveCheckpoint({ model, adapter })).rejects.toThrow(
      'has no adapter_model.safetensors',
    );
  });
});

describe('the hub', () => {
  const files = {
    'config.json': '{"model_type":"llama"}',
    'model-00001-of-00002.safetensors': 'first'.repeat(50_000),
    'model-00002-of-00002.safetensors': 'second',
    'model.safetensors.index.json': '{}',
    'tokenizer.json': '{"version":"1.0"}',
    'README.md': 'no',
    'pytorch_model.bin': 'no',
    'onnx/config.json': 'no',
    '../../evil/config.json': 'no',
  };
  let server: FakeHub;
  let hub: HubOptions;
  beforeEach(async () => {
    server = await startFakeHub('org/model', files);
    hub = { hubUrl: server.url, cacheDir: join(folder, 'cache'), offline: false };
  });
  afterEach(() => server.close());

  it('downloads what is needed into the cache, with progress', async () => {
    const seen: number[] = [];
    let total = 0;
    const onProgress = (progress: { bytes: number; totalBytes: number }): void => {
      seen.push(progress.bytes);
      total = progress.totalBytes;
    };
    const found = await resolveCheckpoint({ model: 'org/model', hub: { ...hub, onProgress } });
    expect(found).toMatchObject({ id: 'org/model', revision: server.sha, label: 'model' });
    expect(found.files).toEqual(Object.keys(files).slice(0, 5).sort());
    expect(found.folder).toBe(join(folder, 'cache', 'models--org--model', 'snapshots', server.sha));
    for (const name of found.files) {
      const text = await readFile(join(found.folder, name), 'utf8');
      expect(text).toBe(files[name as keyof typeof files]);
    }
    expect(seen.at(-1)).toBe(total);
    expect([...seen].sort((a, b) => a - b)).toEqual(seen);
    expect(server.fetched).toHaveLength(5);
    expect(await readdir(folder)).toEqual(['cache']);
    await resolveCheckpoint({ model: 'org/model', hub });
    expect(server.fetched).toHaveLength(5);
  });

  it('leaves weights out for the text of a checkpoint, and fetches them when they are needed', async () => {
    const request = { model: 'org/model', hub };
    const text = await resolveCheckpoint({ ...request, textOnly: true });
    expect(text.files).toEqual(['config.json', 'tokenizer.json']);
    expect(server.fetched.sort()).toEqual(['config.json', 'tokenizer.json']);
    const offline = { model: 'org/model', hub: { ...hub, offline: true } };
    expect(await resolveCheckpoint({ ...offline, textOnly: true })).toEqual(text);
    await expect(resolveCheckpoint(offline)).rejects.toThrow('not in the cache');
    expect((await resolveCheckpoint(request)).files).toHaveLength(5);
    expect(server.fetched).toHaveLength(5);
    expect((await resolveCheckpoint(offline)).folder).toBe(text.folder);
  });

  it('uses the cache when the network is gone or turned off', async () => {
    const first = await resolveCheckpoint({ model: 'org/model@step/10', hub });
    expect(first.label).toBe('model@step/10');
    server.down = true;
    expect(await resolveCheckpoint({ model: 'org/model@step/10', hub })).toEqual(first);
    await server.close();
    expect(await resolveCheckpoint({ model: 'org/model@step/10', hub })).toEqual(first);
    const offline = { ...hub, offline: true };
    const again = await resolveCheckpoint({ model: 'org/model@step/10', hub: offline });
    expect(again).toEqual(first);
    const pinned = await resolveCheckpoint({ model: `org/model@${server.sha}`, hub: offline });
    expect(pinned.folder).toBe(first.folder);
    await expect(resolveCheckpoint({ model: 'org/model', hub: offline })).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_NETWORK',
      message: expect.stringMatching(/not in the cache .*offline/) as string,
    });
  });

  it('says why a model cannot be had', async () => {
    const refused = async (model: string, part: string): Promise<void> =>
      expect(resolveCheckpoint({ model, hub })).rejects.toMatchObject({
        code: 'ERR_HEADSPARK_NETWORK',
        message: expect.stringContaining(part) as string,
      });
    await refused('org/none', 'there is no such model or revision');
    await refused('org/model@other', 'there is no such model or revision');
    await refused('org/gated', 'HF_TOKEN');
    server.down = true;
    await refused('org/model', 'the download failed');
  });

  it('does not blame the network for a cache that cannot be written', async () => {
    const cacheDir = join(folder, 'file');
    await writeFile(cacheDir, '');
    const request = resolveCheckpoint({ model: 'org/model', hub: { ...hub, cacheDir } });
    await expect(request).rejects.toMatchObject({
      code: 'ERR_HEADSPARK_FILE_WRITE',
      message: `${cacheDir} is a file; name a folder.`,
    });
  });

  it.each([
    ['size', 'short'],
    ['SHA-256', 'fursT'.repeat(50_000)],
  ])('keeps no file of the wrong %s', async (what, text) => {
    const name = 'model-00001-of-00002.safetensors';
    server.damaged.set(name, text);
    await expect(resolveCheckpoint({ model: 'org/model', hub })).rejects.toThrow(
      what === 'size' ? /download failed/ : `the ${what} is not as announced`,
    );
    const cache = join(folder, 'cache', basename('models--org--model'));
    expect(await readdir(join(cache, 'snapshots', server.sha))).not.toContain(name);
    expect((await readdir(join(cache, 'blobs'))).join()).not.toContain('incomplete');
    server.damaged.clear();
    expect((await resolveCheckpoint({ model: 'org/model', hub })).files).toContain(name);
  });

  it('stops when it is told to', async () => {
    const controller = new AbortController();
    const onProgress = (): void => controller.abort();
    const request = resolveCheckpoint({
      model: 'org/model',
      hub: { ...hub, signal: controller.signal, onProgress },
    });
    await expect(request).rejects.toMatchObject({ code: 'ERR_HEADSPARK_CANCELLED' });
  });
});

describe('names', () => {
  it('of hub models', () => {
    expect(parseHubId('Qwen/Qwen2.5-0.5B')).toEqual({
      name: 'Qwen/Qwen2.5-0.5B',
      revision: 'main',
    });
    expect(parseHubId('a/b@refs/pr/1')?.revision).toBe('refs/pr/1');
    for (const text of [
      'gpt2',
      'a/b/c',
      '../a',
      'a/..',
      './a/b',
      'a/b@../x',
      'a/b@',
      '/a/b',
      'a/b@x/',
    ]) {
      expect(parseHubId(text)).toBeUndefined();
    }
  });

  it('of wanted files', () => {
    const wanted = [
      'config.json',
      'adapter_config.json',
      'model.safetensors',
      'chat_template.jinja',
    ];
    expect(wanted.every(isWantedFile)).toBe(true);
    const others = [
      'a/model.safetensors',
      'consolidated.safetensors',
      'x/../config.json',
      'vocab.txt',
    ];
    expect(others.some(isWantedFile)).toBe(false);
  });
});
