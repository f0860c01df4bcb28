// Lists the project's own source files: no third-party code, no build output.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

const skipped = new Set(['third_party', 'node_modules', 'dist', 'prebuilds']);

/** Paths relative to `root`, with forward slashes, below `folders` whose name matches. */
export function sourceFiles(root, folders, pattern) {
  const found = [];
  const visit = (folder) => {
    for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const file = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!skipped.has(entry.name) && !entry.name.startsWith('build')) visit(file);
      } else if (pattern.test(entry.name)) {
        found.push(file);
      }
    }
  };
  for (const folder of folders) if (existsSync(path.join(root, folder))) visit(folder);
  return found.sort();
}
