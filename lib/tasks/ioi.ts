// Indirect object identification (Wang et al. 2022): "Then, Amy and Tom went to the park. Tom gave
// a ring to" -> " Amy". The corrupted prompt has a third name for the repeated one.
import type { RawPair, TokenizedPair } from '../pairs/types.js';
import type { Random } from '../stats/random.js';
import type { Tokenizer } from '../tokenizer.js';
import { atOnce } from '../turns.js';
import {
  cannotMake,
  collectPairs,
  continuationTokens,
  pick,
  type GenerateOptions,
  type PairSteps,
} from './generator.js';
import { names, objects, places, templates } from './ioi-words.js';

export interface IoiOptions extends GenerateOptions {
  /** The name in the corrupted prompt: a third one (default), or the indirect object's. */
  corruption?: 'third-name' | 'other-name';
  /**
   * Also use names of several tokens, the first of which must differ. For tokenizers with small
   * vocabularies; the metric then reads the first token of a name. Default false.
   */
  allowMultiTokenNames?: boolean;
}

/** Names that are one token after a space (or, if allowed, any that the tokenizer can spell). */
export function usableNames(tokenizer: Tokenizer, allowMultiToken = false): string[] {
  return names.filter((name) => {
    const tokens = continuationTokens(tokenizer, 'He gave it to', ` ${name}`);
    if (!tokens || !tokenizer.represents(`to ${name}`)) return false;
    return allowMultiToken || tokens.length === 1;
  });
}

interface Slots {
  a: string;
  b: string;
  subject: string;
  place: string;
  object: string;
}

const fill = (template: string, slots: Slots): string =>
  template
    .replace('{A}', slots.a)
    .replace('{B}', slots.b)
    .replace('{S}', slots.subject)
    .replace('{PLACE}', slots.place)
    .replace('{OBJECT}', slots.object);

function drawPair(
  random: Random,
  tokenizer: Tokenizer,
  pool: string[],
  options: IoiOptions,
): RawPair | undefined {
  const [io, subject, third] = [pick(random, pool), pick(random, pool), pick(random, pool)];
  const abba = random.below(2) === 0;
  const template = pick(random, templates);
  const [place, object] = [pick(random, places), pick(random, objects)];
  if (io === subject || third === io || third === subject) return undefined;
  const slots = { a: abba ? io : subject, b: abba ? subject : io, subject, place, object };
  const text = fill(template, slots);
  const replaced = options.corruption === 'other-name' ? io : third;
  const corruptedText = fill(template, { ...slots, subject: replaced });
  const [clean, corrupted] = [tokenizer.encode(text), tokenizer.encode(corruptedText)];
  const correct = continuationTokens(tokenizer, text, ` ${io}`)?.[0];
  const incorrect = continuationTokens(tokenizer, text, ` ${subject}`)?.[0];
  if (clean.length !== corrupted.length || correct === undefined || incorrect === undefined) {
    return undefined;
  }
  if (correct === incorrect) return undefined;
  return {
    clean: Array.from(clean),
    corrupted: Array.from(corrupted),
    correct,
    incorrect,
    text,
    corrupted_text: corruptedText,
  };
}

/**
 * IOI pairs in ABBA and BABA order.
 * @throws ERR_HEADSPARK_TOKENIZER when the tokenizer has fewer than six usable names, or cannot
 *   make `count` distinct pairs.
 */
export function generateIoi(tokenizer: Tokenizer, options: IoiOptions): TokenizedPair[] {
  return atOnce(ioiPairs(tokenizer, options));
}

/** `generateIoi`, pair by pair. */
export function* ioiPairs(tokenizer: Tokenizer, options: IoiOptions): PairSteps {
  const pool = usableNames(tokenizer, options.allowMultiTokenNames);
  if (pool.length < 6) {
    const advice = options.allowMultiTokenNames ? '' : ' (names of several tokens can be allowed)';
    throw cannotMake('ioi', tokenizer, `only ${pool.length} names are usable${advice}`);
  }
  return yield* collectPairs('ioi', tokenizer, options, (random) =>
    drawPair(random, tokenizer, pool, options),
  );
}
