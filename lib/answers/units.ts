// Units at the end of an answer: what is recognised, and how units of one dimension compare. A unit
// on one side only is taken for granted; two units that cannot be converted are a difference.
import { rational, type Rational } from './rational.js';

export interface Unit {
  /** Units of one dimension can be converted. */
  readonly dimension: string;
  /** How many base units of the dimension it is. */
  readonly factor: Rational;
}

type Row = readonly [dimension: string, factor: readonly [number, number], names: string];

const table: readonly Row[] = [
  ['length', [1, 1], 'm meter meters metre metres'],
  ['length', [1, 100], 'cm centimeter centimeters centimetre centimetres'],
  ['length', [1, 1000], 'mm millimeter millimeters millimetre millimetres'],
  ['length', [1000, 1], 'km kilometer kilometers kilometre kilometres'],
  ['length', [254, 10000], 'in inch inches'],
  ['length', [3048, 10000], 'ft foot feet'],
  ['length', [9144, 10000], 'yd yard yards'],
  ['length', [1609344, 1000], 'mi mile miles'],
  ['mass', [1, 1], 'g gram grams'],
  ['mass', [1000, 1], 'kg kilogram kilograms'],
  ['mass', [1, 1000], 'mg milligram milligrams'],
  ['mass', [45359237, 100000], 'lb lbs pound pounds'],
  ['mass', [45359237, 1600000], 'oz ounce ounces'],
  ['time', [1, 1], 's sec secs second seconds'],
  ['time', [60, 1], 'min mins minute minutes'],
  ['time', [3600, 1], 'h hr hrs hour hours'],
  ['time', [86400, 1], 'day days'],
  ['time', [604800, 1], 'week weeks'],
  ['month', [1, 1], 'month months'],
  ['month', [12, 1], 'year years'],
  ['volume', [1, 1], 'l L liter liters litre litres'],
  ['volume', [1, 1000], 'ml mL milliliter milliliters'],
  ['money', [1, 1], '$ dollar dollars usd USD'],
  ['money', [1, 100], 'cent cents'],
  ['euro', [1, 1], '€ euro euros EUR'],
  ['sterling', [1, 1], '£ GBP'],
  ['angle', [1, 1], '^\\circ degree degrees deg'],
  ['radian', [1, 1], 'rad radian radians'],
  ['speed-mph', [1, 1], 'mph'],
  ['speed', [1, 1], 'm/s'],
  ['speed', [5, 18], 'km/h kph'],
  ['force', [1, 1], 'N newton newtons'],
  ['energy', [1, 1], 'J joule joules'],
  ['energy', [1000, 1], 'kJ'],
  ['temperature-c', [1, 1], '^\\circC °C'],
  ['temperature-f', [1, 1], '^\\circF °F'],
];

const units = new Map<string, Unit>(
  table.flatMap(([dimension, [top, bottom], names]) =>
    names
      .split(' ')
      .map(
        (name) => [name, { dimension, factor: rational(BigInt(top), BigInt(bottom))! }] as const,
      ),
  ),
);

/** Words that only say what is counted: any of these, or a plain plural noun after a number. */
const counted =
  /^(?:(?:square|sq\.?|cubic|cu\.?)\s+)?(?:units?|points?|ways?|times?|people|children|men|women|[a-z]{3,20}s)$/i;

/** `18 red marbles`, `$18 every day`, `20 cups of feed`: up to four words that are no part of the number. */
const described = /^(-?\s*[\d.,]*\d)((?:\s+[a-z]{2,20}){1,4})$/;
const numeric =
  /\b(?:dozens?|hundreds?|thousands?|millions?|billions?|trillions?|half|halves|thirds?|fourths?|quarters?|fifths?|tenths?|squared|cubed|factorial|percent|cents?|per|to|or|and|over|plus|minus|times|mod|than|less|pi|base|not|infinity)\b/i;

const power = (base: Rational, exponent: number): Rational =>
  rational(base.numerator ** BigInt(exponent), base.denominator ** BigInt(exponent))!;

/** `cm^{2}`, `square inches`, `cubic feet`, `m`. */
function parseUnit(text: string): Unit | undefined {
  const plain = text.trim().replace(/\s+/g, ' ');
  const direct = units.get(plain) ?? units.get(plain.toLowerCase());
  if (direct) return direct;
  const raised = /^([a-zA-Z]+)\s?\^\s?\{?([23])\}?$/.exec(plain);
  const worded = /^(square|sq\.?|cubic|cu\.?) ([a-zA-Z]+)$/i.exec(plain);
  const name = raised?.[1] ?? worded?.[2];
  const base = name === undefined ? undefined : units.get(name);
  if (!base) return undefined;
  const exponent = raised ? Number(raised[2]) : /^s/i.test(worded![1]) ? 2 : 3;
  return { dimension: `${base.dimension}^${exponent}`, factor: power(base.factor, exponent) };
}

export interface Measured {
  /** The rest, without its unit. */
  readonly value: string;
  /** Undefined: no unit, or a word that only says what is counted. */
  readonly unit: Unit | undefined;
  readonly percent: boolean;
  /** The unit is one letter right after the number: `4s` of a square's side is algebra as well. */
  readonly attached?: boolean;
}

const currency = /^(-?)\s*([$€£])\s*(?=[\d.])/;

/** Splits a normalised answer into its value and its unit. */
export function splitUnit(answer: string): Measured {
  const text = answer.replace(/(?<=\S)\s+(?:per|each|an?)\s+[a-z]+$/, '');
  const money = currency.exec(text);
  if (money) {
    const rest = text.slice(money[0].length);
    const inner = splitUnit(rest);
    return { ...inner, value: money[1] + inner.value, unit: inner.unit ?? units.get(money[2]) };
  }
  const percent = /^(.*\S)\s*(?:%|\bpercent\b|\bper cent\b)$/is.exec(text);
  if (percent) return { value: percent[1].trim(), unit: undefined, percent: true };
  const degrees = /^(.*\S)\s*\^\\circ\s*([CF]?)$/s.exec(text);
  if (degrees) {
    const unit = units.get(`^\\circ${degrees[2]}`);
    return { value: degrees[1].trim(), unit, percent: false };
  }
  // A unit is a word after something that ends like a number: "12 cm", "\frac{3}{4} inches", "3\pi m".
  const worded = /^(.*[\d})])\s*((?:[a-zA-Z]+\.?\s)?[a-zA-Z/]+(?:\s?\^\s?\{?[23]\}?)?)$/s.exec(
    text,
  );
  const piUnit =
    /^(.*\\pi)\s+((?:(?:square|sq\.?|cubic|cu\.?)\s)?[a-zA-Z]+(?:\s?\^\s?\{?[23]\}?)?)$/s.exec(
      text,
    );
  const match = worded ?? piUnit;
  if (match) {
    const unit = parseUnit(match[2]);
    // "2x" and "3m + 2" are algebra: one letter counts as a unit only after a space.
    const spaced = /\s/.test(text[match[1].length]);
    const isWord = match[2].length > 2;
    if (unit && (spaced || isWord || /^\d[\d.,]*$/.test(match[1]))) {
      const attached = !spaced && match[2].length === 1;
      return { value: match[1].trim(), unit, percent: false, attached };
    }
    if (!unit && spaced && counted.test(match[2])) {
      return { value: match[1].trim(), unit: undefined, percent: false };
    }
  }
  const words = described.exec(text);
  if (words && !numeric.test(words[2])) {
    return { value: words[1].trim(), unit: undefined, percent: false };
  }
  return { value: text, unit: undefined, percent: false };
}
