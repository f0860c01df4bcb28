#!/usr/bin/env node
// The command line's entry: the process's streams and signals around one run.
import { writeError } from '../file-errors.js';
import { commandNames, loadCommands } from './commands.js';
import { complete, isCompleting } from './completion.js';
import type { Terminal } from './context.js';
import { Interruption } from './interruption.js';
import { reportError, runLine } from './run.js';

const terminal: Terminal = {
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
};

const interruption = new Interruption((text) => {
  process.stderr.write(text);
});
// A reader that has seen enough (`headspark … | head`) is no error. Whatever keeps standard output from
// being written, files still are; a run that writes none ends.
const readerGone = new AbortController();
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (readerGone.signal.aborted) return;
  readerGone.abort(new Error('nobody reads standard output any more'));
  if (error.code === 'EPIPE') return;
  process.on('exit', (code) => {
    const debug = process.argv.includes('--debug');
    // Not as JSON too: that would go where nothing can be written.
    const own = reportError(writeError('standard output', error), terminal, { debug, json: false });
    if (code === 0) process.exitCode = own;
  });
});
// There is nobody left to tell.
process.stderr.on('error', () => undefined);

const argv = process.argv.slice(2);
// The shell's questions are answered whatever the environment and the unfinished line say.
if (isCompleting(argv)) {
  await complete(argv, terminal);
} else {
  process.exitCode = await runLine(argv, {
    commandNames,
    loadCommands,
    terminal,
    interruption,
    readerGone: readerGone.signal,
  });
  interruption.release();
}
