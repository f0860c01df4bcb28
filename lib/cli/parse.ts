// The command line through yargs: builds it from the commands and the vocabulary, and turns what
// yargs complains about into sentences.

import yargs, { type Argv } from 'yargs';
import { version } from '../version.js';
import { HeadsparkError } from '../errors.js';
import {
  Arguments,
  checkOptionNames,
  checkOptionValues,
  optionsIn,
  usageError,
  type RawArguments,
} from './arguments.js';
import type { Command } from './command.js';
import type { Preset } from './preset.js';
import { didYouMean } from '../nearest-word.js';
import { optionSpec, type OptionName } from './vocabulary.js';

/** What is to be done: a command with its arguments, or nothing (help, version, the script of completion). */
export type Parsed = { command: Command; args: Arguments } | undefined;

const first = (text: string): string => text.split('\n')[0];

/** yargs' messages in our words. */
export function explain(message: string, command: Command | undefined): HeadsparkError {
  const usage = command ? ` Usage: headspark ${command.usage}` : ' See headspark --help.';
  const choice = /Argument: ([\w-]+), Given: "?([^"]*)"?, Choices: (.*)/s.exec(message);
  if (choice) {
    const [, name, given, choices] = choice;
    return usageError(`--${name} "${given}" is unknown: use ${choices.replaceAll('"', '')}.`);
  }
  const missing = /Not enough arguments following: (\S+)/.exec(message);
  if (missing) return usageError(`--${missing[1]} needs a value.`);
  if (/^Not enough non-option arguments/.test(message)) {
    const what = command ? `${command.name} is missing an argument.` : 'no command is given.';
    return usageError(what + usage);
  }
  return usageError(`${first(message).replace(/\.$/, '')}.${usage}`);
}

function addOption(builder: Argv, name: OptionName, command: Command): void {
  const spec = optionSpec(name);
  const multiple = command.multiple?.includes(name) ?? false;
  builder.option(name, {
    type: spec.type,
    describe: command.meanings?.[name] ?? spec.describe,
    group: spec.group,
    ...(spec.choices ? { choices: spec.choices } : {}),
    ...(spec.default === undefined ? {} : { default: spec.default }),
    ...(multiple ? { array: true } : {}),
    ...(spec.type === 'boolean' ? {} : { requiresArg: true }),
  });
}

function addCommand(line: Argv, command: Command, run: (raw: RawArguments) => void): void {
  line.command(
    command.usage,
    command.describe,
    (builder) => {
      for (const { name, describe, rest } of command.positionals) {
        // Without a default of its own yargs shows "[]" as one.
        const array = rest ? { array: true, default: undefined } : {};
        builder.positional(name, { describe, type: 'string', ...array });
      }
      for (const name of command.options) addOption(builder, name, command);
      for (const [example, text] of command.examples) builder.example(example, text);
      // Before yargs' own checks, so that a mistyped option is named first.
      builder.middleware((raw) => {
        const positionals = command.positionals.map(({ name }) => name);
        checkOptionNames(raw, { name: command.name, options: command.options, positionals });
      }, true);
    },
    (raw) => {
      run(raw);
    },
  );
}

function checkRest(raw: RawArguments, command: Command): void {
  const extra = (raw['_'] as unknown[]).slice(1);
  if (extra.length === 0) return;
  throw usageError(
    `"${String(extra[0])}" is one argument too many. Usage: headspark ${command.usage}`,
  );
}

/** yargs prints the script whatever follows the word, so that help needs a command of its own. */
function addCompletion(line: Argv, argv: readonly string[]): Argv {
  const describe = 'Print a script for shell completion (bash, zsh)';
  if (argv[0] !== 'completion' || !argv.includes('--help')) {
    return line.completion('completion', describe);
  }
  return line.command('completion', describe, (builder) =>
    builder.example('$0 completion >> ~/.bashrc', 'or ~/.zshrc; then open a new shell'),
  );
}

function buildLine(argv: readonly string[], preset: Preset): Argv {
  const line = yargs([...argv])
    .scriptName('headspark')
    .locale('en')
    .usage('$0 <command>\n\nWhich attention heads newly matter after post-training.')
    .parserConfiguration({
      'camel-case-expansion': false,
      'dot-notation': false,
      'greedy-arrays': false,
      'strip-aliased': true,
      'parse-positional-numbers': false,
    })
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new Error(message);
    })
    .config(preset)
    .help()
    .version(version)
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .epilogue('Every option can also stand in a --config file or in HEADSPARK_<OPTION>.');
  return addCompletion(line, argv);
}

/** The words of a command line that name its command, if any do. */
export function commandOf(
  argv: readonly string[],
  commands: readonly Command[],
): Command | undefined {
  const word = argv.find((item) => !item.startsWith('-'));
  return commands.find(({ name }) => name === word);
}

/**
 * Parses a command line. Help, version and the script of completion print to stdout and give undefined.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT naming the option and what it takes.
 */
export async function parseLine(
  argv: readonly string[],
  commands: readonly Command[],
  preset: Preset,
): Promise<Parsed> {
  const named = commandOf(argv, commands);
  let chosen: { command: Command; raw: RawArguments } | undefined;
  const line = buildLine(argv, preset);
  for (const command of commands) {
    addCommand(line, command, (raw) => {
      chosen = { command, raw };
    });
  }
  let raw: RawArguments;
  try {
    raw = await line.parseAsync();
  } catch (error) {
    if (error instanceof HeadsparkError) throw error;
    throw explain((error as Error).message, named);
  }
  if (chosen) {
    const { command } = chosen;
    checkRest(chosen.raw, command);
    checkOptionValues(chosen.raw, command.options, command.multiple ?? []);
    const positionals = command.positionals.map(({ name }) => name);
    return {
      command,
      args: new Arguments(chosen.raw, { positionals, given: optionsIn(argv) }),
    };
  }
  if (raw['help'] === true || raw['version'] === true) return undefined;
  return unknownCommand(raw, argv, commands);
}

function unknownCommand(
  raw: RawArguments,
  argv: readonly string[],
  commands: readonly Command[],
): undefined {
  const [word] = raw['_'] as (string | undefined)[];
  const names = [...commands.map(({ name }) => name), 'completion'];
  if (word === 'completion') return undefined;
  if (word === undefined) {
    const option = argv.find((item) => item.startsWith('-'));
    throw usageError(
      `${option === undefined ? 'no command is given' : `no command before ${option}`}: ` +
        `use ${names.join(', ')}. See headspark --help.`,
    );
  }
  const hint = didYouMean(word, names);
  throw usageError(`"${word}" is no command.${hint} Commands: ${names.join(', ')}.`);
}
