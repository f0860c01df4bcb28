// The checked arguments of one command: typed access by option name, and the checks that yargs
// does not make. The only casts from yargs' loose values are here.

import { HeadsparkError } from '../errors.js';
import { didYouMean } from '../nearest-word.js';
import { inputOptions } from './option-groups.js';
import { isOptionName, optionSpec, type OptionName } from './vocabulary.js';

export type RawArguments = Record<string, unknown>;

export const usageError = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/** Keys that yargs adds to the options. */
const ownKeys = ['_', '$0', 'help', 'version'];

/** Throws for an option that the command does not take, naming the nearest one that it does. */
export function checkOptionNames(
  raw: RawArguments,
  command: { name: string; options: readonly string[]; positionals: readonly string[] },
): void {
  const { name, options, positionals } = command;
  const known = new Set([...ownKeys, ...options, ...positionals]);
  const unknown = Object.keys(raw).find((key) => !known.has(key));
  if (unknown === undefined) return;
  const dashes = unknown.length === 1 ? '-' : raw[unknown] === false ? '--no-' : '--';
  const elsewhere = isOptionName(unknown) ? ' (other commands have it)' : '';
  const hint = didYouMean(unknown, [...options, 'help', 'version'], '--');
  throw usageError(
    `${name} has no option ${dashes}${unknown}${elsewhere}.${hint} ` +
      `See headspark ${name} --help.`,
  );
}

function numberProblem(name: OptionName, value: unknown): string | undefined {
  const { integer, min, max } = optionSpec(name);
  const fits =
    typeof value === 'number' &&
    Number.isFinite(value) &&
    (!integer || Number.isInteger(value)) &&
    value >= (min ?? -Infinity) &&
    value <= (max ?? Infinity);
  if (fits) return undefined;
  const kind = integer ? 'a whole number' : 'a number';
  const from = min === undefined ? '' : ` from ${min}`;
  const to = max === undefined || max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
  const got = typeof value === 'number' && !Number.isNaN(value) ? `, not ${value}` : '';
  return `needs ${kind}${min === undefined && to ? ' up' : ''}${from}${to}${got}`;
}

/** What is wrong with one value of an option, to stand after its name; undefined where nothing is. */
export function valueProblem(name: OptionName, value: unknown): string | undefined {
  const { type, problem } = optionSpec(name);
  if (type === 'number') return numberProblem(name, value);
  if (type === 'boolean') return undefined;
  if (typeof value !== 'string' || value === '') return 'needs a value';
  return problem?.(value);
}

function checkValue(name: OptionName, value: unknown, multiple: boolean): void {
  if (Array.isArray(value)) {
    if (!multiple) throw usageError(`--${name} is given more than once.`);
    if (value.length === 0) throw usageError(`--${name} needs a value.`);
    for (const item of value) checkValue(name, item, false);
    return;
  }
  const problem = valueProblem(name, value);
  if (problem !== undefined) throw usageError(`--${name} ${problem}.`);
}

/** Throws for missing values, numbers out of range and options given twice. */
export function checkOptionValues(
  raw: RawArguments,
  options: readonly OptionName[],
  multiple: readonly OptionName[],
): void {
  for (const name of options) {
    const value = raw[name];
    if (value !== undefined) checkValue(name, value, multiple.includes(name));
  }
}

/** Names beside the values. */
export interface ArgumentNames {
  readonly positionals?: readonly string[];
  readonly given?: ReadonlySet<string>;
}

/** The options that a command line names, `--no-prune` as `prune`. */
export function optionsIn(argv: readonly string[]): Set<string> {
  const end = argv.indexOf('--');
  const items = end < 0 ? argv : argv.slice(0, end);
  return new Set(
    items.flatMap((item) => /^--(?:no-)?([a-z][a-z-]*)(?:=|$)/.exec(item)?.slice(1) ?? []),
  );
}

/** Typed access to checked arguments. */
export class Arguments {
  readonly #raw: RawArguments;
  readonly #positionals: readonly string[];
  readonly #given: ReadonlySet<string>;

  /** `given`: the options that the line names itself. */
  constructor(
    raw: RawArguments,
    { positionals = [], given = new Set<string>() }: ArgumentNames = {},
  ) {
    this.#raw = raw;
    this.#positionals = positionals;
    this.#given = given;
  }

  /** What the line names to be read: `<scores>` and the like, and options as `--pairs`. */
  inputs(): { option: string; text: string }[] {
    // An argument may have the name of an option: `base` of diff.
    const options = inputOptions.filter((name) => !this.#positionals.includes(name));
    return [
      ...this.#positionals.flatMap((name) =>
        this.positionals(name).map((text) => ({ option: `<${name}>`, text })),
      ),
      ...options.flatMap((name) => {
        const text = this.text(name);
        return text === undefined ? [] : [{ option: `--${name}`, text }];
      }),
    ];
  }

  /** A positional that must be there (yargs has checked it). */
  positional(name: string): string {
    return String(this.#raw[name]);
  }

  /** The rest of the line; yargs gives [undefined] where there is none. */
  positionals(name: string): string[] {
    const given = [this.#raw[name] ?? []].flat() as unknown[];
    return given.filter((item) => item !== undefined).map(String);
  }

  /** Whether it was given, or has a default. */
  has(name: OptionName): boolean {
    return this.#raw[name] !== undefined;
  }

  /** Whether the line names it, and not a config file, the environment or a default. */
  given(name: OptionName): boolean {
    return this.#given.has(name);
  }

  text(name: OptionName): string | undefined {
    return this.#raw[name] as string | undefined;
  }

  list(name: OptionName): string[] {
    return (this.#raw[name] as string[] | undefined) ?? [];
  }

  /** Of a number that may be given several times. */
  numbers(name: OptionName): number[] {
    return (this.#raw[name] as number[] | undefined) ?? [];
  }

  number(name: OptionName): number | undefined {
    return this.#raw[name] as number | undefined;
  }

  /** A number that has a default. */
  value(name: OptionName): number {
    return this.#raw[name] as number;
  }

  flag(name: OptionName): boolean {
    return this.#raw[name] === true;
  }

  /** True, false, or undefined where neither was said. */
  switch(name: OptionName): boolean | undefined {
    return this.#raw[name] as boolean | undefined;
  }

  /** One of the option's choices, which yargs has checked; it has a default. */
  choice<T extends string>(name: OptionName): T {
    return this.#raw[name] as T;
  }

  /** One of the option's choices, or undefined. */
  optionalChoice<T extends string>(name: OptionName): T | undefined {
    return this.#raw[name] as T | undefined;
  }
}
