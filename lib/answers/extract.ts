// Finding the answer that a generated text gives: the last balanced \boxed{}, an <answer> tag (or
// GSM8K's "#### 72"), an "answer is" sentence, a chosen letter, or the last number, in that order. Thoughts do not count.
import { checkAnyText, checkTexts } from '../argument-checks.js';
import { checkOptionNames, oneOf, optionNames, trueOrFalse } from '../option-checks.js';
import { readGroup } from './braces.js';

/** How an answer was found, strongest first. */
export const answerSources = ['boxed', 'tag', 'sentence', 'letter', 'number'] as const;
export type AnswerSource = (typeof answerSources)[number];

export interface ExtractedAnswer {
  readonly text: string;
  readonly source: AnswerSource;
  /** Place in the whole text (thoughts included) after the answer's last character. */
  readonly end: number;
}

export interface ExtractOptions {
  /** Sources that count; default all (`letter` only for multiple choice, `number` only otherwise). */
  readonly sources?: readonly AnswerSource[];
  /** The problem is multiple choice: the answer is a letter. Default false. */
  readonly choice?: boolean;
}

const opening = /<(?:think|thinking|thought|reasoning)>/gi;
const closing = /<\/(?:think|thinking|thought|reasoning)>/gi;

/**
 * Where the text after the thoughts begins: after the last closing tag; the whole text when there
 * is no tag. Undefined while a thought is still open, because nothing was answered yet.
 */
export function answerStart(text: string): number | undefined {
  checkAnyText('answerStart', text);
  const close = [...text.matchAll(closing)].at(-1);
  const after = close ? close.index + close[0].length : 0;
  const open = [...text.matchAll(opening)].at(-1);
  return open && open.index >= after ? undefined : after;
}

/** The text without its thoughts; empty while a thought is still open. */
export function stripThinking(text: string): string {
  checkAnyText('stripThinking', text);
  const start = answerStart(text);
  if (start === undefined) return '';
  if (start > 0) return text.slice(start);
  return text;
}

const boxCommand = /\\f?boxed(?![a-zA-Z])\s*/g;

interface Found {
  readonly text: string;
  readonly end: number;
}

/** Every balanced \boxed{…} (or \boxed 7), in the order of the text. */
export function boxedAnswers(text: string): Found[] {
  const found: Found[] = [];
  for (const match of text.matchAll(boxCommand)) {
    const at = match.index + match[0].length;
    const group = readGroup(text, at);
    if (group) found.push({ text: group.content, end: group.end });
    else if (text[at] !== '{') {
      const bare = /^-?[\d.,]*\d|^[A-Za-z]\b/.exec(text.slice(at, at + 40));
      if (bare) found.push({ text: bare[0], end: at + bare[0].length });
    }
  }
  return found;
}

/** A line of GSM8K's mark and a number. Other lines with four signs are headings of Markdown. */
const marked =
  /(?:^|\n)[ \t]*####[ \t]*(-?[ \t]*[$€£]?[ \t]*-?[\d.,]*\d(?:\/\d+)?[ \t]*%?)\.?[ \t]*(?=\n|$)/;

/**
 * Tags; without one the first number that is marked, as the metric of GSM8K takes it: a base model
 * goes on to a question and an answer of its own.
 */
function taggedAnswers(text: string): Found[] {
  const tagged = insideTags(text);
  const mark = tagged.length > 0 ? null : marked.exec(text);
  return mark ? [{ text: mark[1], end: mark.index + mark[0].length }] : tagged;
}

function insideTags(text: string): Found[] {
  return [...text.matchAll(/<answer>([\s\S]*?)<\/answer>/gi)].map((match) => ({
    text: match[1],
    end: match.index + match[0].length - '</answer>'.length,
  }));
}

// The answer ends with its sentence: a full stop that a space or the end follows, or a new line.
const sentence =
  /\banswer(?:\s+(?:to|of|for)\s[^.\n]{1,60}?)?(?:\s+(?:is|are|was|equals|would be|should be|must be)(?:\s+(?:thus|therefore|simply|just|option|choice))?|\s*[:=])\s*:?\s*([^\n]{1,200}?)(?=\.?\s*(?:\n|$)|\.\s|,\s+(?:because|since|which|so|as)\b|\s+(?:because|since)\b)/gi;

/** Without a remark in brackets; of "that she makes $18" the number. "July 4" is no such sentence. */
function plainSentence(text: string): string {
  const plain = text.replace(/\s+\((?=[^()]*[a-z]{3})[^()\\]*\)$/i, '');
  const isProse =
    /^(?:that|there|she|he|it|they|we|you|i)\s[a-z\s]*[$€£]?[\d.,]*\d(?:\s+[a-z]+)*$/i.test(plain);
  const only = isProse && !other.test(plain) ? /[$€£]?[\d.,]*\d/.exec(plain) : null;
  return only ? only[0] : plain;
}

/** Words by which a number is another one, or none. */
const other =
  /\b(?:not|minus|negative|option|choice|dozen|hundred|thousand|[mb]illion|half|percent|cents?)\b/i;

function sentences(text: string): Found[] {
  return [...text.matchAll(sentence)].map((match) => ({
    text: plainSentence(match[1].replace(/^\*+|\*+$/g, '')),
    end: match.index + match[0].length,
  }));
}

const number =
  /-?(?:\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d*\.?\d+)(?:[eE][+-]?\d{1,3}(?![\w.])|\s*\/\s*\d+(?!\d|\.\d))?(?:\s*%)?/g;

function numbers(text: string): Found[] {
  return [...text.matchAll(number)].map((match) => {
    // "7-3" ends in the number 3, not -3.
    const minus = match[0].startsWith('-') && /[\w)}]/.test(text[match.index - 1] ?? '');
    return {
      text: minus ? match[0].slice(1) : match[0],
      end: match.index + match[0].length,
    };
  });
}

/**
 * Letters that stand alone as an option: `(B)`, `**B**`, `B)` or `B.` at the beginning of a line,
 * "option B", "the choice is B", and "B is correct" where nothing says that it is not.
 */
function letters(text: string): Found[] {
  const alone =
    /\(([A-J])\)|\*\*([A-J])\*\*|(?:^|\n)\s*([A-J])(?:[).:]|\s*(?=\n|$))|\b(?:[Oo]ption|[Cc]hoice)(?:\s+is:?)?\s+\(?([A-J])\b(?!\s+(?:is|was)\s+(?:not|in|wrong|false))|\b([B-J]|A(?=\s+is))\s+is\s+(?:the\s+)?(?:correct|right)\b/g;
  return [...text.matchAll(alone)].map((match) => ({
    text: match.slice(1).find((letter) => letter !== undefined)!,
    end: match.index + match[0].length,
  }));
}

const finders: Record<AnswerSource, (text: string) => Found[]> = {
  boxed: boxedAnswers,
  tag: taggedAnswers,
  sentence: sentences,
  letter: letters,
  number: numbers,
};

function sourcesOf({ sources = answerSources, choice = false }: ExtractOptions): AnswerSource[] {
  const other = choice ? 'number' : 'letter';
  return answerSources.filter((source) => source !== other && sources.includes(source));
}

/** A tag or a sentence may hold a box: then the box is the answer. */
function innermost(text: string): string {
  return boxedAnswers(text).at(-1)?.text ?? text;
}

const extractOptions = optionNames<ExtractOptions>({ sources: true, choice: true });

function checkExtraction(text: string, options: ExtractOptions): void {
  checkAnyText('extractAnswer', text);
  checkOptionNames('extractAnswer', options, extractOptions);
  trueOrFalse('choice', options.choice, false);
  if (options.sources === undefined) return;
  checkTexts('extractAnswer', 'sources', options.sources);
  for (const source of options.sources) {
    oneOf('a source', source, { allowed: answerSources, fallback: source });
  }
}

/**
 * The answer that stands after the thoughts, by the strongest source there is; else undefined.
 * @throws ERR_HEADSPARK_INVALID_ARGUMENT
 */
export function extractAnswer(
  text: string,
  options: ExtractOptions = {},
): ExtractedAnswer | undefined {
  checkExtraction(text, options);
  const start = answerStart(text);
  if (start === undefined) return undefined;
  const after = text.slice(start);
  for (const source of sourcesOf(options)) {
    const found = finders[source](after)
      .filter((item) => item.text.trim() !== '')
      .at(-1);
    if (found) return { text: innermost(found.text).trim(), source, end: start + found.end };
  }
  return undefined;
}

/**
 * Every answer that the text states outright (boxes, tags, "answer is"), thoughts included, in
 * order: for telling whether a right answer was found and then given up.
 */
export function statedAnswers(text: string): ExtractedAnswer[] {
  checkAnyText('statedAnswers', text);
  const stated = (['boxed', 'tag', 'sentence'] as const).flatMap((source) =>
    finders[source](text).map((item) => ({
      text: innermost(item.text).trim(),
      source,
      end: item.end,
    })),
  );
  return stated.filter((item) => item.text !== '').sort((a, b) => a.end - b.end);
}
