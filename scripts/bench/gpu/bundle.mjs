// Packs what a machine with a GPU may lack and cannot fetch, next to the sources: this Node, the
// packages that the benchmark scripts import, and a script that sets all of it up there.
// Usage: node scripts/bench/gpu/bundle.mjs DIR [--shared DIR]; there: `. DIR/setup.sh`, then
// node scripts/bench/gpu/main.mjs. `--shared` is a folder with reference models for more goldens.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import { failAsUserError, runMain, UserError } from '../user-error.mjs';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const imported = ['yargs', 'cli-table3'];
/** What the goldens read of a folder of reference models. */
const goldens = [
  'reference',
  'models/stories260K',
  ...['base-step1000', 'golden-base-step1000', 'pairs.jsonl'].map((n) => `models/tiny-arith/${n}`),
];

/** Top folders of packages and of all that they depend on, packages inside them included. */
async function closure(names) {
  const found = new Set();
  const visit = async (name, from) => {
    const own = path.join(from, 'node_modules', name);
    const folder = existsSync(own) ? own : path.join(root, 'node_modules', name);
    if (found.has(folder)) return;
    found.add(folder);
    const { dependencies = {} } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'));
    for (const dependency of Object.keys(dependencies)) await visit(dependency, folder);
  };
  for (const name of names) await visit(name, root);
  const inside = (folder) => folder.split('node_modules').length > 2;
  return [...found].filter((folder) => !inside(folder)).sort();
}

function mustRun(command, args) {
  const { status, error } = spawnSync(command, args, { stdio: ['ignore', 2, 2] });
  if (error) throw new UserError(`${command} could not be started (${error.message}).`);
  if (status !== 0) throw new UserError(`${command} failed; its output above says why.`);
}

// Python unpacks: of all tools that could, PyTorch's machine has that one for certain. Sourced a
// second time it only sets variables.
const setup = (shared) => `# Sourced in headspark's folder on the machine with the GPU.
bundle=$(cd "$(dirname "\${BASH_SOURCE[0]}")" && pwd)
python3 - "$bundle" <<'PYTHON'
import lzma, os, shutil, sys, tarfile
bundle = sys.argv[1]
node = os.path.join(bundle, 'bin', 'node')
if not os.path.exists(node):
    os.makedirs(os.path.dirname(node), exist_ok=True)
    with lzma.open(os.path.join(bundle, 'node.xz')) as packed, open(node + '.part', 'wb') as out:
        shutil.copyfileobj(packed, out)
    os.chmod(node + '.part', 0o755)
    for name in os.listdir(bundle):
        if name.endswith('.tgz'):
            tarfile.open(os.path.join(bundle, name)).extractall(bundle)
    os.rename(node + '.part', node)
PYTHON
[ -e node_modules ] || ln -s "$bundle/node_modules" node_modules
export PATH="$bundle/bin:/usr/local/cuda/bin:$PATH"
${shared ? 'export HEADSPARK_SHARED="$bundle/shared"\n' : ''}command -v make >/dev/null || export CMAKE_GENERATOR=Ninja
`;

await runMain(async () => {
  const { _: names, shared } = await yargs(hideBin(process.argv))
    .usage('$0 DIR [--shared DIR]\n\nPacks what bench:gpu needs on a machine that has no Node.')
    .demandCommand(1, 1, 'Name the folder to write.', 'Name one folder only.')
    .option('shared', {
      describe: 'a folder with reference models for more goldens',
      type: 'string',
    })
    .strict()
    .fail(failAsUserError)
    .parseAsync();
  const folder = path.resolve(String(names[0]));
  await mkdir(folder, { recursive: true });
  const packages = (await closure(imported)).map((top) => path.relative(root, top));
  mustRun('tar', ['-C', root, '-czf', path.join(folder, 'packages.tgz'), ...packages]);
  if (shared !== undefined) {
    const there = goldens.filter((name) => existsSync(path.join(shared, name)));
    if (there.length === 0) throw new UserError(`${shared} has none of: ${goldens.join(', ')}.`);
    const as = ['--transform', 's,^,shared/,'];
    mustRun('tar', ['-C', shared, ...as, '-czf', path.join(folder, 'shared.tgz'), ...there]);
  }
  const pack =
    'import lzma, shutil, sys; shutil.copyfileobj(open(sys.argv[1], "rb"), lzma.open(sys.argv[2], "wb"))';
  mustRun('python3', ['-c', pack, process.execPath, path.join(folder, 'node.xz')]);
  await writeFile(path.join(folder, 'setup.sh'), setup(shared !== undefined));
  console.log(`${folder}: carry it beside the sources, and source setup.sh in their folder there.`);
});
