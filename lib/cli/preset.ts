// Option values from a config file and from HEADSPARK_ variables. The command line wins over the
// environment, the environment over the file, the file over defaults.

import { extname } from 'node:path';
import { isObject } from '../canonical-json.js';
import { HeadsparkError } from '../errors.js';
import { readTextIfExists, repeatedKey } from '../json-file.js';
import { usageError, valueProblem } from './arguments.js';
import { didYouMean } from '../nearest-word.js';
import { isOptionName, optionSpec, vocabulary, type OptionName } from './vocabulary.js';

export type Preset = Record<string, unknown>;

const prefix = 'HEADSPARK_';
const variableOf = (name: string): string => prefix + name.toUpperCase().replaceAll('-', '_');

function parseSwitch(text: string, place: string): boolean {
  if (/^(true|yes|on|1)$/i.test(text)) return true;
  if (/^(false|no|off|0)$/i.test(text)) return false;
  throw usageError(`${place} is "${text.slice(0, 60)}"; it must be true or false.`);
}

function fromText(name: OptionName, text: string, place: string): unknown {
  const { type } = optionSpec(name);
  if (type === 'boolean') return parseSwitch(text, place);
  if (type === 'string') return text;
  const value = text.trim() === '' ? NaN : Number(text);
  if (Number.isNaN(value)) {
    throw usageError(`${place} is "${text.slice(0, 60)}"; it must be a number.`);
  }
  return value;
}

/** What is wrong with a value of the option's type. */
function problemOf(name: OptionName, value: unknown, place: string): string | undefined {
  const { choices } = optionSpec(name);
  if (choices && !choices.includes(String(value))) {
    return `${place} is "${String(value)}"; use ${choices.join(', ')}.`;
  }
  const problem = valueProblem(name, value);
  return problem === undefined ? undefined : `${place} ${problem}.`;
}

/** Values of the variables HEADSPARK_<OPTION> for options of this command; others are not read. */
export function environmentPreset(
  environment: NodeJS.ProcessEnv,
  options: readonly OptionName[],
): Preset {
  const preset: Preset = {};
  for (const name of options) {
    const place = variableOf(name);
    const text = environment[place];
    if (text === undefined || text === '') continue;
    preset[name] = fromText(name, text, place);
    const problem = problemOf(name, preset[name], place);
    if (problem !== undefined) throw usageError(problem);
  }
  return preset;
}

function parseJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const key = repeatedKey(text);
  if (key !== undefined) throw new Error(`"${key}" stands there twice`);
  return value;
}

/** Without warnings of the library, which Node would print as they are. */
async function parseYaml(text: string): Promise<unknown> {
  const { parse } = await import('yaml');
  return parse(text, { logLevel: 'error' }) as unknown;
}

async function parseConfig(path: string): Promise<Record<string, unknown>> {
  const text = await readTextIfExists(path, {
    code: 'ERR_HEADSPARK_CONFIG',
    maxBytes: 1 << 20,
    pipes: true,
  });
  if (text === undefined) {
    throw new HeadsparkError('ERR_HEADSPARK_FILE_NOT_FOUND', `--config ${path} does not exist.`);
  }
  let value: unknown;
  try {
    value = extname(path) === '.json' ? parseJson(text) : await parseYaml(text);
  } catch (cause) {
    const [problem] = (cause as Error).message.split('\n');
    const message = `--config ${path} cannot be parsed: ${problem.replace(/[.:]+$/, '')}.`;
    throw new HeadsparkError('ERR_HEADSPARK_CONFIG', message, { cause });
  }
  if (value === null || value === undefined) return {};
  if (isObject(value)) return value;
  throw new HeadsparkError('ERR_HEADSPARK_CONFIG', `--config ${path} must hold named options.`);
}

function configValue(name: OptionName, value: unknown, path: string): unknown {
  const { type } = optionSpec(name);
  const place = `${name} in ${path}`;
  const items: unknown[] = Array.isArray(value) ? value : [value];
  for (const item of items) {
    const typed = type === 'string' && typeof item === 'number' ? String(item) : item;
    if (typeof typed !== type) {
      const wanted = { string: 'text', number: 'a number', boolean: 'true or false' }[type];
      throw new HeadsparkError('ERR_HEADSPARK_CONFIG', `${place} must be ${wanted}.`);
    }
    const problem = problemOf(name, typed, place);
    if (problem !== undefined) throw new HeadsparkError('ERR_HEADSPARK_CONFIG', problem);
  }
  if (type !== 'string') return value;
  return Array.isArray(value) ? items.map(String) : String(value);
}

function checkConfigKey(key: string, path: string, commands: readonly string[]): void {
  if (key === 'config') {
    const message = `${path} sets "config", which the command line and ${prefix}CONFIG alone do.`;
    throw new HeadsparkError('ERR_HEADSPARK_CONFIG', message);
  }
  if (isOptionName(key) || commands.includes(key)) return;
  const hint = didYouMean(key, [...Object.keys(vocabulary), ...commands]);
  const message = `${path} sets "${key}", which is no option.${hint}`;
  throw new HeadsparkError('ERR_HEADSPARK_CONFIG', message);
}

/** The options of a command, and which of them take a list. */
interface ConfigPlace {
  readonly options: readonly OptionName[];
  readonly multiple?: readonly OptionName[];
}

function takeOptions(
  values: Record<string, unknown>,
  place: ConfigPlace & { path: string },
): Preset {
  const preset: Preset = {};
  for (const [key, value] of Object.entries(values)) {
    if (!isOptionName(key) || isObject(value)) continue;
    const checked = configValue(key, value, place.path);
    if (!place.options.includes(key)) continue;
    if (Array.isArray(checked) && !place.multiple?.includes(key)) {
      const message = `${key} in ${place.path} takes one value, not a list.`;
      throw new HeadsparkError('ERR_HEADSPARK_CONFIG', message);
    }
    preset[key] = checked;
  }
  return preset;
}

/**
 * Values of a config file: options at the top count for every command that has them, those under
 * a command's name for that command.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_CONFIG (also for an unknown key).
 */
export async function configPreset(
  path: string,
  place: ConfigPlace & { command: string; commands: readonly string[] },
): Promise<Preset> {
  const { command, commands } = place;
  const values = await parseConfig(path);
  for (const key of Object.keys(values)) checkConfigKey(key, path, commands);
  for (const name of commands) {
    const section = values[name];
    if (isObject(section)) Object.keys(section).forEach((key) => checkConfigKey(key, path, []));
    else if (section !== undefined && !isOptionName(name)) {
      throw new HeadsparkError('ERR_HEADSPARK_CONFIG', `${name} in ${path} must hold options.`);
    }
  }
  const own = values[command];
  return {
    ...takeOptions(values, { ...place, path }),
    ...(isObject(own) ? takeOptions(own, { ...place, path }) : {}),
  };
}
