// The commands by name, each loaded when it is asked for: a command line waits for the modules of its
// own command only.

import type { Command } from './command.js';

const loaders = {
  pairs: async () => (await import('./pairs.js')).pairsCommand,
  attribute: async () => (await import('./attribute.js')).attributeCommand,
  circuit: async () => (await import('./circuit.js')).circuitCommand,
  diff: async () => (await import('./diff.js')).diffCommand,
  ablate: async () => (await import('./ablate.js')).ablateCommand,
  heads: async () => (await import('./heads.js')).headsCommand,
  generate: async () => (await import('./generate.js')).generateCommand,
  evaluate: async () => (await import('./evaluate.js')).evaluateCommand,
  merge: async () => (await import('./merge.js')).mergeCommand,
  study: async () => (await import('./study.js')).studyCommand,
  report: async () => (await import('./report.js')).reportCommand,
  demo: async () => (await import('./demo.js')).demoCommand,
  doctor: async () => (await import('./doctor.js')).doctorCommand,
} satisfies Record<string, () => Promise<Command>>;

/** In the order of the help. */
export const commandNames: readonly string[] = Object.keys(loaders);

/** The command that a line begins with; all of them where it does not begin with one. */
export async function loadCommands(argv: readonly string[]): Promise<Command[]> {
  const known = Object.entries(loaders);
  const begun = known.filter(([name]) => name === argv[0]);
  return Promise.all((begun.length > 0 ? begun : known).map(([, load]) => load()));
}
