// What the shell's Tab offers at the end of a command line. Where it offers nothing, the shell completes
// names of files: so a path never competes with options. yargs prints the shell's script; its own offers
// list options wherever a path may stand, and stop at the errors that an unfinished line has.

import type { Command, PositionalSpec } from './command.js';
import { commandNames, loadCommands } from './commands.js';
import type { Terminal } from './context.js';
import { optionSpec, type OptionName } from './vocabulary.js';

/** What may stand at the cursor. */
export interface Offer {
  readonly value: string;
  readonly describe: string;
}

const ask = '--get-yargs-completions';

/** Whether a command line is the shell's question. */
export const isCompleting = (argv: readonly string[]): boolean =>
  argv.some((item) => item.startsWith(ask));

const everywhere: readonly Offer[] = [
  { value: '--help', describe: 'Show help' },
  { value: '--version', describe: 'Show version number' },
];

const optionOf = (word: string, command: Command): OptionName | undefined =>
  command.options.find((name) => word === `--${name}`);

/** The option whose value the next word is. */
function awaiting(word: string | undefined, command: Command): OptionName | undefined {
  const name = word === undefined ? undefined : optionOf(word, command);
  return name !== undefined && optionSpec(name).type !== 'boolean' ? name : undefined;
}

const choicesOf = (spec: { choices?: readonly string[] }, prefix = ''): Offer[] =>
  (spec.choices ?? []).map((choice) => ({ value: prefix + choice, describe: '' }));

/** Options that are not given yet, or may be given again. */
function optionsOf(command: Command, before: readonly string[]): Offer[] {
  const given = new Set(before.map((word) => word.split('=')[0]));
  const own = command.options.flatMap((name): Offer[] => {
    const { type, default: value } = optionSpec(name);
    const describe = command.meanings?.[name] ?? optionSpec(name).describe;
    const again = command.multiple?.includes(name) ?? false;
    if (!again && (given.has(`--${name}`) || given.has(`--no-${name}`))) return [];
    const negated = type === 'boolean' && (value === true || describe.includes(`--no-${name}`));
    return [`--${name}`, ...(negated ? [`--no-${name}`] : [])].map((option) => ({
      value: option,
      describe,
    }));
  });
  return [...own, ...everywhere];
}

/** The positional that comes next; none where the command takes no more. */
function nextPositional(command: Command, before: readonly string[]): PositionalSpec | undefined {
  const given = before.slice(1).filter((word, index) => {
    return !word.startsWith('-') && awaiting(before[index], command) === undefined;
  });
  const last = command.positionals.at(-1);
  return command.positionals[given.length] ?? (last?.rest ? last : undefined);
}

/** bash takes `--metric=prob` apart; the word at the cursor stays as it is, since bash replaces that alone. */
function joined(words: readonly string[]): { before: string[]; current: string } {
  const before: string[] = [];
  for (const word of words.slice(0, -1)) {
    const name = before.at(-1);
    if (word === '=' && name?.startsWith('--')) before[before.length - 1] = `${name}=`;
    else if (name?.startsWith('--') && name.endsWith('=')) before[before.length - 1] = name + word;
    else before.push(word);
  }
  return { before, current: words.at(-1) ?? '' };
}

function offersOf(command: Command, before: string[], current: string): Offer[] {
  const pending = before.at(-1);
  const option =
    pending?.startsWith('--') && pending.endsWith('=') ? pending.slice(0, -1) : pending;
  const value = awaiting(option, command);
  if (value !== undefined && !current.startsWith('--')) return choicesOf(optionSpec(value));
  const [name, ...rest] = current.split('=');
  const assigned = rest.length > 0 ? awaiting(name, command) : undefined;
  if (assigned !== undefined) return choicesOf(optionSpec(assigned), `${name}=`);
  if (current.startsWith('-')) return optionsOf(command, before);
  const positional = nextPositional(command, before);
  return positional ? choicesOf(positional) : optionsOf(command, before);
}

/** What may stand in place of the last of the words, which follow the program's name. */
export function offersAt(
  words: readonly string[],
  names: readonly Offer[],
  commands: readonly Command[],
): Offer[] {
  const { before, current } = joined(words);
  const starting = current.startsWith('-') ? everywhere : names;
  const command = commands.find(({ name }) => name === before[0]);
  const offers = before.length === 0 ? starting : command ? offersOf(command, before, current) : [];
  return offers.filter(({ value }) => value.startsWith(current));
}

/** How the shell whose script yargs prints wants an offer. */
function lineOf({ value, describe }: Offer, shell: string): string {
  if (shell === 'bash' || describe === '') return value;
  return shell === 'fish' ? `${value}\t${describe}` : `${value}:${describe}`;
}

function shellOf(environment: NodeJS.ProcessEnv): 'bash' | 'zsh' | 'fish' {
  const path = environment['SHELL'] ?? '';
  if (path.includes('zsh') || environment['ZSH_NAME']?.includes('zsh')) return 'zsh';
  return path.includes('fish') ? 'fish' : 'bash';
}

/** The words after the program's name, up to the cursor where the shell says where it is. */
function wordsOf(argv: readonly string[], { environment }: Terminal, shell: string): string[] {
  const words = argv.slice(argv.findIndex((item) => item.startsWith(ask)) + 1);
  if (shell === 'fish') return words;
  const cursor = Number(environment['COMP_CWORD'] ?? NaN);
  return words.slice(1, cursor >= 1 ? cursor + 1 : undefined);
}

/** Answers the shell, a line for each offer. Never throws: an error would land in a half-typed line. */
export async function complete(argv: readonly string[], terminal: Terminal): Promise<void> {
  try {
    const shell = shellOf(terminal.environment);
    const words = wordsOf(argv, terminal, shell);
    const commands = await loadCommands(words);
    const names = [...commandNames, 'completion'].map((value) => ({
      value,
      describe: commands.find(({ name }) => name === value)?.describe ?? '',
    }));
    for (const offer of offersAt(words, names, commands)) {
      terminal.stdout.write(`${lineOf(offer, shell)}\n`);
    }
  } catch {
    // Nothing is offered.
  }
}
