// The benchmark scripts are plain JavaScript outside the package; tests load them untyped.
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../../lib/version.js';

export const benchFolder = path.join(packageRoot, 'scripts', 'bench');

/** The exports of scripts/bench/`name`. */
export async function benchScript(name: string): Promise<any> {
  return await import(pathToFileURL(path.join(benchFolder, name)).href);
}
