#!/usr/bin/env node
// The command line's entry: the process's streams and signals around one run.
import { ablateCommand } from './ablate.js';
import { attributeCommand } from './attribute.js';
import { circuitCommand } from './circuit.js';
import { demoCommand } from './demo.js';
import { diffCommand } from './diff.js';
import { doctorCommand } from './doctor.js';
import { evaluateCommand } from './evaluate.js';
import { headsCommand } from './heads.js';
import { mergeCommand } from './merge.js';
import { generateCommand } from './generate.js';
import { reportCommand } from './report.js';
import { runLine } from './run.js';
import { studyCommand } from './study.js';

const commands = [
  attributeCommand,
  circuitCommand,
  diffCommand,
  ablateCommand,
  headsCommand,
  generateCommand,
  evaluateCommand,
  mergeCommand,
  studyCommand,
  reportCommand,
  demoCommand,
  doctorCommand,
];

const controller = new AbortController();
let interruptedBy: number | undefined;
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.on(signal, () => {
    if (interruptedBy !== undefined) process.exit(code);
    interruptedBy = code;
    process.stderr.write('\nheadspark: stopping; once more to stop at once.\n');
    controller.abort(new Error(`the process received ${signal}`));
  });
}
// A reader that has seen enough (`headspark … | head`) is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

process.exitCode = await runLine(process.argv.slice(2), {
  commands,
  terminal: { stdout: process.stdout, stderr: process.stderr, environment: process.env },
  interruption: { signal: controller.signal, exitCode: () => interruptedBy },
});
