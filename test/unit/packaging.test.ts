// The package around the code: install messages, the import check, and what package.json promises.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../lib/errors.js';
import { packageRoot, version } from '../../lib/version.js';

const read = (file: string): string => readFileSync(path.join(packageRoot, file), 'utf8');
const manifest = JSON.parse(read('package.json')) as Record<string, any>;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'headspark-packaging-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function put(file: string, text: string): void {
  const target = path.join(folder, file);
  mkdirSync(path.dirname(target), { recursive: true });
  writeFileSync(target, text);
}

describe('package.json', () => {
  it('agrees with CMake on the version and with the build on Node-API 9', () => {
    expect(manifest.version).toBe(version);
    expect(read('CMakeLists.txt')).toContain(`project(headspark VERSION ${version} `);
    expect(manifest.binary.napi_versions).toEqual([9]);
    expect(read('bindings/CMakeLists.txt')).toContain('NAPI_VERSION=9');
  });

  it('points at sources that exist', () => {
    const source = (built: string) =>
      built.replace('dist/', 'lib/').replace(/(\.d\.ts|\.js)$/, '.ts');
    for (const built of [manifest.main, manifest.types, manifest.bin.headspark] as string[]) {
      expect(existsSync(path.join(packageRoot, source(built))), built).toBe(true);
    }
    expect(read('lib/cli/main.ts')).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  it('has every tool that a build at install needs among its dependencies', () => {
    for (const name of ['cmake-js', 'node-addon-api', 'node-api-headers', 'node-gyp-build']) {
      expect(manifest.dependencies).toHaveProperty([name]);
    }
  });
});

describe('error codes', () => {
  it('are the same in C++ and TypeScript, in the same order', () => {
    const header = read('native/include/headspark/error.h');
    const body = /enum class ErrorCode \{([^}]*)\}/.exec(header)?.[1] ?? '';
    const names = body.split(',').map((name) => name.trim());
    const expected = names.filter((name) => name !== '').map((name) => `ERR_HEADSPARK_${name}`);
    expect(expected).toEqual([...ERROR_CODES]);
  });
});

describe('install without tools', () => {
  it('says once what is missing and how to install it', () => {
    // A copy without prebuilds or a build, and a PATH without any tool.
    for (const file of ['package.json', 'scripts/install.mjs', 'scripts/install-tools.mjs']) {
      put(file, read(file));
    }
    put('node_modules/node-gyp-build/package.json', '{"main":"index.js"}');
    put(
      'node_modules/node-gyp-build/index.js',
      read('node_modules/node-gyp-build/node-gyp-build.js'),
    );
    const { status, stdout, stderr } = spawnSync(process.execPath, ['scripts/install.mjs'], {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: folder },
    });
    expect(status).toBe(1);
    expect(stdout).toBe('');
    expect(stderr.match(/headspark has no prebuilt addon/g)).toHaveLength(1);
    expect(stderr).toMatch(/missing: CMake 3\.21 or later \(no cmake on PATH\)/);
    expect(stderr).toMatch(/missing: a C\+\+20 compiler: .*not found: /);
    expect(stderr).toMatch(/install: \S+/);
    expect(stderr).not.toMatch(/\bat \S+:\d+/); // no stack
  });
});

describe('the import check', () => {
  const check = () => {
    const script = path.join(packageRoot, 'scripts/checks/imports.mjs');
    return spawnSync(process.execPath, [script, folder], { encoding: 'utf8' });
  };

  it('passes a tree whose arrows all point one way', () => {
    put('lib/native.ts', 'export const native = 1;\n');
    put('lib/model.ts', "import { native } from './native.js';\nexport { native };\n");
    put('lib/cli/main.ts', "import { native } from '../model.js';\nvoid native;\n");
    put(
      'lib/circuit/a.ts',
      "import type { native } from '../native.js';\nexport type A = native;\n",
    );
    put('bindings/addon.cc', '#include "headspark/error.h"\n#include "napi.h"\n');
    expect(check()).toMatchObject({ status: 0, stdout: 'imports: clean\n' });
  });

  it.each([
    [
      'an arrow that points back',
      { 'lib/model.ts': "import './cli/main.js';\n", 'lib/cli/main.ts': '' },
      'lib/model.ts imports lib/cli/main.ts',
    ],
    [
      'circuit code that reaches the addon in two steps',
      {
        'lib/circuit/a.ts': "export { b } from '../b.js';\n",
        'lib/b.ts': "import {\n  b,\n} from './native.js';\nexport { b };\n",
        'lib/native.ts': 'export const b = 1;\n',
      },
      'lib/circuit/a.ts -> lib/b.ts -> lib/native.ts',
    ],
    ['a core that knows Node', { 'native/src/a.cc': '#include <napi.h>\n' }, 'nothing of Node'],
    [
      'a CUDA type in a public header',
      { 'native/include/headspark/a.h': '#include <cuda_runtime.h>\n' },
      'no CUDA types',
    ],
    [
      'a binding that reaches into the core',
      { 'bindings/a.cc': '#include "../native/src/a.h"\n' },
      'native/include only',
    ],
    ['a file of 501 lines', { 'lib/a.ts': '// x\n'.repeat(501) }, 'lib/a.ts has 501 lines'],
  ])('finds %s', (_name, files, message) => {
    for (const [file, text] of Object.entries(files)) put(file, text);
    const { status, stderr } = check();
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(message) });
  });
});
