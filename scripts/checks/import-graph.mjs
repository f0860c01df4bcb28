// Reads import and #include lines without running anything.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const fromClause = /^\s*(?:import|export)\b(?<clause>[^'"]*?)\bfrom\s*['"](?<target>[^'"]+)['"]/gm;
const bareOrDynamic = /(?:^\s*import|\bimport\()\s*['"]([^'"]+)['"]/gm;
const include = /^\s*#\s*include\s*[<"]([^>"]+)[>"]/gm;

/** The lib/ files that a TypeScript file loads at run time; `import type` loads nothing. */
export function runtimeImports(root, file) {
  const text = readFileSync(path.join(root, file), 'utf8');
  const targets = [...text.matchAll(bareOrDynamic)].map((match) => match[1]);
  for (const { groups } of text.matchAll(fromClause)) {
    if (!/^\s*type\b/.test(groups.clause)) targets.push(groups.target);
  }
  return targets
    .filter((target) => target.startsWith('.'))
    .map((target) => path.posix.join(path.posix.dirname(file), target).replace(/\.js$/, '.ts'))
    .filter((target) => existsSync(path.join(root, target)));
}

/** What a C++ file includes, as written. */
export function includes(root, file) {
  const text = readFileSync(path.join(root, file), 'utf8');
  return [...text.matchAll(include)].map((match) => match[1]);
}

/** A shortest chain of imports from `start` to a file that `isTarget` accepts, or undefined. */
export function chainTo(graph, start, isTarget) {
  const chains = [[start]];
  const seen = new Set([start]);
  for (const chain of chains) {
    const last = chain[chain.length - 1];
    if (chain.length > 1 && isTarget(last)) return chain;
    for (const next of graph.get(last) ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      chains.push([...chain, next]);
    }
  }
  return undefined;
}
