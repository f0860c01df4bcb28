// A context whose lines a test can read.
import { Context } from '../../../lib/cli/context.js';

export interface ReadContext {
  readonly context: Context;
  readonly stdout: () => string;
  readonly stderr: () => string;
}

export function readContext(): ReadContext {
  let [stdout, stderr] = ['', ''];
  const context = new Context({
    json: false,
    quiet: false,
    signal: new AbortController().signal,
    terminal: {
      stdout: { write: (text: string) => (stdout += text) },
      stderr: { write: (text: string) => (stderr += text) },
      environment: {},
    },
  });
  return { context, stdout: () => stdout, stderr: () => stderr };
}
