// What answers say in words or in school notation, in the spelling of the later stages: numbers in
// words, millions, the real line, no solution, inverse functions and angles in degrees.

const ones = [
  'zero',
  'one',
  'two',
  'three',
  'four',
  'five',
  'six',
  'seven',
  'eight',
  'nine',
  'ten',
  'eleven',
  'twelve',
  'thirteen',
  'fourteen',
  'fifteen',
  'sixteen',
  'seventeen',
  'eighteen',
  'nineteen',
];
const tens = ['twenty', 'thirty', 'forty', 'fifty', 'sixty', 'seventy', 'eighty', 'ninety'];

/** `three`, `Twenty-one`: a whole number below 100 in words. */
function wordedNumber(text: string): string | undefined {
  const word = text.toLowerCase().trim();
  if (ones.includes(word)) return String(ones.indexOf(word));
  const [ten, one, ...rest] = word.split(/[-\s]+/);
  if (!tens.includes(ten) || rest.length > 0) return undefined;
  if (one === undefined) return String(10 * (tens.indexOf(ten) + 2));
  const unit = ones.indexOf(one);
  return unit >= 1 && unit <= 9 ? String(10 * (tens.indexOf(ten) + 2) + unit) : undefined;
}

const powers: Readonly<Record<string, number>> = {
  thousand: 3,
  million: 6,
  billion: 9,
  trillion: 12,
};

/** `1.5 million` with its decimal point moved. */
function withoutPowers(text: string): string {
  return text.replace(
    /(?<![\d.,])(\d+)(?:\.(\d+))?\s+(thousand|million|billion|trillion)(?![a-z])/gi,
    (_, whole: string, part = '', power: string) => {
      const places = powers[power.toLowerCase()];
      const digits = `${whole}${(part as string).padEnd(places, '0')}`;
      const point = whole.length + places;
      const fraction = digits.slice(point);
      return digits.slice(0, point) + (fraction === '' ? '' : `.${fraction}`);
    },
  );
}

const realLine =
  /^(?:[a-zA-Z]\s*\\in\s*)?(?:\\mathbb\s*\{?\s*R\s*\}?|\u211D)$|^(?:the set of )?all real numbers$/i;
const noSolution = /^(?:there (?:is|are) )?(?:no (?:real )?solutions?|the empty set|empty set)$/i;

/** `\tan^{-1}` is a function of its own, not one over the tangent. */
const inverses = (text: string): string =>
  text.replace(/\\(sin|cos|tan)\s*\^\s*(?:\{\s*-\s*1\s*\})/g, '\\arc$1 ');

/** `\cos 60^\circ`, `\sin(30^\circ)`: the angle in radians. */
const degrees = (text: string): string =>
  text.replace(
    /\\(sin|cos|tan|cot|sec|csc)\s*(?:\(\s*(-?\d+(?:\.\d+)?)\s*\^\\circ\s*\)|\{?\s*(\d+(?:\.\d+)?)\s*\^\\circ\s*\}?)/g,
    (_, name: string, inside?: string, bare?: string) =>
      `\\${name}(\\frac{${inside ?? bare}\\pi}{180})`,
  );

/** A normalised answer without the wordings that the later stages do not read. */
export function plainWording(text: string): string {
  if (realLine.test(text)) return '(-\\infty,\\infty)';
  if (noSolution.test(text)) return '\\emptyset';
  return wordedNumber(text) ?? degrees(inverses(withoutPowers(text)));
}
