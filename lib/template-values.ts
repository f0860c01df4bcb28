// Values of @huggingface/jinja 0.5.11 as Python has them: how they are written, and which are equal. Its
// classes are not exported, so they are taken from values that it makes.
import { Environment, type TemplateValue, type Variables } from './template-library.js';

type ValueClass<T> = new (value: T) => TemplateValue;

/** A value of the library from one of JavaScript. */
export const templateValue = (value: unknown): TemplateValue =>
  new Environment().set('value', value);

const classOf = <T>(value: T): ValueClass<T> =>
  (templateValue(value) as unknown as { constructor: ValueClass<T> }).constructor;

export const StringValue = classOf('');
export const BooleanValue = classOf(true);
export const IntegerValue = classOf(1);
export const FloatValue = classOf(0.5);
export const NullValue = classOf(null);
export const UndefinedValue = classOf(undefined);
export const ListValue = classOf<unknown>([]) as unknown as ValueClass<readonly TemplateValue[]>;
export const MappingValue = classOf<unknown>({}) as unknown as ValueClass<
  Map<string, TemplateValue>
>;
export type TemplateFunction = (args: TemplateValue[], scope: Variables) => TemplateValue;
/** A function of the library takes its own values, and the variables where it is called. */
export const FunctionValue = classOf<unknown>(
  () => null,
) as unknown as ValueClass<TemplateFunction>;

export const isText = (value: TemplateValue): boolean => value.type === 'StringValue';
export const isUndefined = (value: TemplateValue): boolean => value.type === 'UndefinedValue';
export const isMapping = (value: TemplateValue): boolean => value instanceof MappingValue;
/** Tuples are lists of the library too. */
export const isList = (value: TemplateValue): boolean => value instanceof ListValue;
export const isNumber = ({ type }: TemplateValue): boolean =>
  type === 'IntegerValue' || type === 'FloatValue' || type === 'BooleanValue';

export const listOf = (value: TemplateValue): readonly TemplateValue[] =>
  value.value as readonly TemplateValue[];
export const mapOf = (value: TemplateValue): ReadonlyMap<string, TemplateValue> =>
  value.value as ReadonlyMap<string, TemplateValue>;

/** Python's `repr` of a float. */
function floatText(value: number): string {
  if (!Number.isFinite(value)) return String(value).replace('Infinity', 'inf').toLowerCase();
  const [digits, power] = value.toExponential().split('e');
  const exponent = Number(power);
  if (value === 0 || (exponent >= -4 && exponent < 16)) {
    const text = Object.is(value, -0) ? '-0' : String(value);
    return text.includes('.') ? text : `${text}.0`;
  }
  return `${digits}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}

const shortEscapes: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escapeOf(character: string): string {
  const code = character.codePointAt(0)!;
  const hex = code.toString(16);
  if (code < 0x100) return shortEscapes[character] ?? `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

/** Python's `repr` of a text. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inside = text.replaceAll('\\', '\\\\').replace(/(?! )\p{Z}|\p{C}/gu, escapeOf);
  return `${quote}${quote === "'" ? inside.replaceAll("'", "\\'") : inside}${quote}`;
}

function written(value: TemplateValue): string {
  if (isText(value)) return quoted(value.value as string);
  return isUndefined(value) ? 'Undefined' : textOf(value);
}

/** What `{{ value }}` writes: Python's `str`. @throws Error for a function. */
export function textOf(value: TemplateValue): string {
  switch (value.type) {
    case 'StringValue':
      return value.value as string;
    case 'UndefinedValue':
      return '';
    case 'NullValue':
      return 'None';
    case 'BooleanValue':
      return value.value === true ? 'True' : 'False';
    case 'IntegerValue':
      return String(value.value);
    case 'FloatValue':
      return floatText(value.value as number);
    case 'TupleValue': {
      const items = listOf(value).map(written);
      return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
    }
  }
  if (isList(value)) return `[${listOf(value).map(written).join(', ')}]`;
  if (isMapping(value)) {
    const items = [...mapOf(value)].map(([key, item]) => `${quoted(key)}: ${written(item)}`);
    return `{${items.join(', ')}}`;
  }
  throw new Error('a function, a macro or a namespace has no text');
}

/** Python's `==`. */
export function areEqual(a: TemplateValue, b: TemplateValue): boolean {
  if (isNumber(a) && isNumber(b)) return Number(a.value) === Number(b.value);
  if (a.type !== b.type) return false;
  if (isList(a)) {
    const [left, right] = [listOf(a), listOf(b)];
    return left.length === right.length && left.every((item, i) => areEqual(item, right[i]));
  }
  if (isMapping(a)) {
    const [left, right] = [mapOf(a), mapOf(b)];
    const same = ([key, item]: [string, TemplateValue]): boolean =>
      right.has(key) && areEqual(item, right.get(key)!);
    return left.size === right.size && [...left].every(same);
  }
  return a.value === b.value;
}

// What Python's str.strip takes: not U+FEFF, but the separators of files and groups, and U+0085.
const space = '[\\p{White_Space}\\x1C-\\x1F]';
const spaces = new RegExp(`${space}+`, 'u');
const leading = new RegExp(`^${space}+`, 'u');

function endOf(text: readonly string[], isStripped: (character: string) => boolean): number {
  let end = text.length;
  while (end > 0 && isStripped(text[end - 1])) end--;
  return end;
}

/** Python's strip, lstrip and rstrip, of white space or of the characters that are given. */
export function stripped(
  text: string,
  characters: string | undefined,
  sides: { start: boolean; end: boolean },
): string {
  const set = characters === undefined ? undefined : new Set(characters);
  const isStripped = (one: string): boolean => set?.has(one) ?? spaces.test(one);
  const all = [...text];
  const end = sides.end ? endOf(all, isStripped) : all.length;
  let start = 0;
  while (sides.start && start < end && isStripped(all[start])) start++;
  return all.slice(start, end).join('');
}

/** Python's `split()` without a separator, at most `most` times. */
export function words(text: string, most: number): string[] {
  const out: string[] = [];
  let rest = text.replace(leading, '');
  while (rest !== '') {
    const gap = out.length === most ? null : spaces.exec(rest);
    out.push(gap ? rest.slice(0, gap.index) : rest);
    rest = gap ? rest.slice(gap.index + gap[0].length) : '';
  }
  return out;
}
