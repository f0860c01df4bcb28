// One run of the command line: parse, do, print, and say how it ended as an exit code.
// 0 done, 1 a mistake of the user's, 2 an internal error, 130 Ctrl-C, 143 terminated.

import { HeadsparkError, isHeadsparkError, type ErrorCode } from '../errors.js';
import type { Command } from './command.js';
import { Context, type Terminal } from './context.js';
import type { Interruption } from './interruption.js';
import { painter } from './output.js';
import { commandOf, parseLine } from './parse.js';
import { configPreset, environmentPreset, type Preset } from './preset.js';
import { usageError, type Arguments } from './arguments.js';
import type { OptionName } from './vocabulary.js';

const exitCodes = { done: 0, mistake: 1, internal: 2 } as const;

/** The value of --config, which decides how the rest is read. */
function configPath(argv: readonly string[], environment: NodeJS.ProcessEnv): string | undefined {
  const index = argv.findIndex((item) => item === '--config' || item.startsWith('--config='));
  if (index < 0) return environment['HEADSPARK_CONFIG'] || undefined;
  const path = argv[index] === '--config' ? argv[index + 1] : argv[index].slice('--config='.length);
  if (path === undefined || path === '' || path.startsWith('--')) {
    throw usageError('--config needs a value.');
  }
  return path;
}

async function presetOf(
  command: Command | undefined,
  argv: readonly string[],
  place: { commandNames: readonly string[]; environment: NodeJS.ProcessEnv },
): Promise<Preset> {
  if (!command) return {};
  const { options, multiple = [] } = command;
  const path = configPath(argv, place.environment);
  const { commandNames: commands } = place;
  const file = path
    ? await configPreset(path, { command: command.name, commands, options, multiple })
    : {};
  return { ...file, ...environmentPreset(place.environment, options) };
}

function sentence(message: string): string {
  const line = message.trim();
  return /[.!?)]$/.test(line) ? line : `${line}.`;
}

/** The system's word for a folder that was removed, which it says wherever a path is resolved first. */
function ofFolder(error: unknown): unknown {
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (code !== 'ENOENT' || syscall !== 'uv_cwd') return error;
  const message = 'the current folder does not exist any more; change to another one.';
  return new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', message, { cause: error });
}

const errorDocument = (code: ErrorCode, message: string): string =>
  `${JSON.stringify({ error: { code, message } })}\n`;

/** How an error is told. */
interface Reporting {
  readonly debug: boolean;
  readonly json: boolean;
}

/**
 * Prints an error as a sentence with its code, with --json also as an object on stdout; the stack
 * only where it helps. Gives the exit code.
 */
export function reportError(
  raised: unknown,
  terminal: Terminal,
  { debug, json }: Reporting,
): number {
  const error = ofFolder(raised);
  const paint = painter(terminal.stderr, terminal.environment);
  const expected = isHeadsparkError(error) && error.code !== 'ERR_HEADSPARK_INTERNAL';
  const code = isHeadsparkError(error) ? error.code : 'ERR_HEADSPARK_INTERNAL';
  const message = error instanceof Error ? error.message : String(error);
  if (json) terminal.stdout.write(errorDocument(code, message));
  terminal.stderr.write(
    `${paint('red', 'headspark:')} ${sentence(message)} ${paint('dim', `[${code}]`)}\n`,
  );
  if ((debug || !expected) && error instanceof Error) {
    terminal.stderr.write(`${error.stack ?? ''}\n`);
    for (let cause = error.cause; cause instanceof Error; cause = cause.cause) {
      terminal.stderr.write(`caused by: ${cause.stack ?? cause.message}\n`);
    }
  }
  return expected ? exitCodes.mistake : exitCodes.internal;
}

export interface RunOptions {
  /** Of all commands. */
  readonly commandNames: readonly string[];
  /** The commands that a line may mean. */
  readonly loadCommands: (argv: readonly string[]) => Promise<readonly Command[]>;
  readonly terminal: Terminal;
  readonly interruption: Interruption;
  /** Fires when standard output is closed at its other end. */
  readonly readerGone: AbortSignal;
}

/** Whether nothing is left of a run that nobody reads. */
const onlyPrints = ({ streams }: Command, args: Arguments): boolean =>
  streams === true && !args.has('out') && !args.has('journal');

/** Whether a switch is on by the words of the line, which may not be fit to parse; undefined: not said. */
function switchIn(argv: readonly string[], name: OptionName): boolean | undefined {
  const end = argv.indexOf('--');
  const word = (end < 0 ? argv : argv.slice(0, end)).findLast(
    (item) => item === `--no-${name}` || item === `--${name}` || item.startsWith(`--${name}=`),
  );
  return word === undefined ? undefined : word !== `--no-${name}` && !word.endsWith('=false');
}

/** How errors are told: by the line, else by what else sets options; never throws. */
function reportingOf(
  argv: readonly string[],
  preset: Preset | undefined,
  environment: NodeJS.ProcessEnv,
): Reporting {
  const isOn = (name: 'debug' | 'json'): boolean => {
    const said = switchIn(argv, name) ?? preset?.[name];
    if (said !== undefined || preset) return said === true;
    try {
      return environmentPreset(environment, [name])[name] === true;
    } catch {
      return false;
    }
  };
  return { debug: isOn('debug'), json: isOn('json') };
}

const isCancelled = (error: unknown): error is HeadsparkError =>
  error instanceof HeadsparkError && error.code === 'ERR_HEADSPARK_CANCELLED';

/** Runs one command line and gives its exit code. Never throws. */
export async function runLine(argv: readonly string[], options: RunOptions): Promise<number> {
  const { commandNames, loadCommands, terminal, interruption, readerGone } = options;
  let [context, preset]: [Context?, Preset?] = [];
  try {
    const commands = await loadCommands(argv);
    const place = { commandNames, environment: terminal.environment };
    preset = await presetOf(commandOf(argv, commands), argv, place);
    const parsed = await parseLine(argv, commands, preset);
    if (!parsed) return exitCodes.done;
    const { command, args } = parsed;
    context = new Context({
      json: args.flag('json'),
      quiet: args.flag('quiet'),
      signal: onlyPrints(command, args)
        ? AbortSignal.any([interruption.signal, readerGone])
        : interruption.signal,
      handling: interruption,
      terminal,
    });
    const result = await command.run(args, context);
    if (context.json) terminal.stdout.write(`${JSON.stringify(result)}\n`);
    return exitCodes.done;
  } catch (error) {
    const interrupted = interruption.exitCode;
    if (interrupted !== undefined && isCancelled(error)) {
      const hint = context?.resumeHint ?? 'Nothing was written.';
      if (context?.json) terminal.stdout.write(errorDocument(error.code, `interrupted. ${hint}`));
      terminal.stderr.write(`headspark: interrupted. ${hint}\n`);
      return interrupted;
    }
    if (readerGone.aborted && isCancelled(error)) return exitCodes.done;
    return reportError(error, terminal, reportingOf(argv, preset, terminal.environment));
  }
}
