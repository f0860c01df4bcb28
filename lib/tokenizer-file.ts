// tokenizer.json in the words that @huggingface/tokenizers 0.2.0 reads as the Python library does: what
// it would read otherwise is spelled by patterns that it runs exactly, or refused by name.
import { atomicPattern } from './atomic-pattern.js';
import { isObject } from './canonical-json.js';

type Fields = Record<string, unknown>;

const fieldsOr = (value: unknown): Fields => (isObject(value) ? value : {});
const textOr = (value: unknown, fallback: string): string =>
  typeof value === 'string' ? value : fallback;
const listOf = (value: unknown): Fields[] => (Array.isArray(value) ? value.map(fieldsOr) : []);

/** GPT-2's, which the library has with JavaScript's \s: that knows U+FEFF and not U+0085. */
const gpt2Pattern =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const punctuation = '[\\p{P}!-/:-@\\[-`{-~]';
/** In a class of characters: what \w is in Rust's expressions. */
export const wordCharacters = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200C\\u200D';

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

const split = (pattern: string, behavior: string, invert = false): Fields => ({
  type: 'Split',
  pattern: { Regex: pattern },
  behavior,
  invert,
});
const isolated = (pattern: string): Fields => split(pattern, 'Isolated');
const matchesOf = (pattern: string): Fields => split(pattern, 'Removed', true);
const sequence = (...pretokenizers: Fields[]): Fields => ({ type: 'Sequence', pretokenizers });

/** The pattern of a Split or a Replace as a regular expression, without possessive quantifiers. */
function patternOf({ pattern }: Fields, where: string): string {
  const { Regex, String: literal } = fieldsOr(pattern);
  if (typeof literal === 'string') return escaped(literal);
  if (typeof Regex === 'string') return atomicPattern(Regex);
  throw new Error(`its ${where} has no pattern`);
}

/**
 * The library keeps every match of a Split to itself, or takes it out; merged ones are longer matches.
 * A run between two matches is what no match begins in.
 */
function readableSplit(step: Fields): Fields {
  const pattern = `(?:${patternOf(step, 'Split')})`;
  const behavior = textOr(step['behavior'], 'Isolated');
  const between = `(?:(?!${pattern})[\\s\\S])`;
  const invert = step['invert'] === true;
  if (behavior === 'Removed') return matchesOf(invert ? pattern : `${between}+`);
  // Matches and runs are pieces either way.
  if (behavior === 'Isolated') return isolated(pattern);
  if (behavior === 'Contiguous') return isolated(`${pattern}+|${between}+`);
  if (behavior === 'MergedWithPrevious' && !invert) {
    return isolated(`${between}+${pattern}?|${pattern}`);
  }
  if (behavior === 'MergedWithNext' && !invert) {
    return isolated(`${pattern}${between}*|${between}+`);
  }
  throw new Error(`its Split has the behavior ${behavior}, which headspark does not know`);
}

function readableByteLevel(step: Fields): Fields {
  const bytes = { type: 'ByteLevel', add_prefix_space: false, use_regex: false };
  if (step['use_regex'] === false) return { ...bytes, add_prefix_space: step['add_prefix_space'] };
  const words = isolated(gpt2Pattern);
  if (step['add_prefix_space'] === false) return sequence(words, bytes);
  // The library's own kind of step, whose content is JavaScript's: $& is the character that was found.
  const prefix = { type: 'Replace', pattern: { Regex: '\\A[^ ]' }, content: ' $&' };
  return sequence(prefix, words, bytes);
}

/** `split`, which the library does not know, cuts before every mark; older files name no scheme. */
function readableMetaspace(step: Fields): Fields {
  const mark = textOr(step['replacement'], '▁');
  const scheme =
    step['prepend_scheme'] ?? (step['add_prefix_space'] === false ? 'never' : 'always');
  const marked = { type: 'Metaspace', replacement: mark, prepend_scheme: scheme };
  if (step['split'] === false) return marked;
  const one = escaped(mark);
  return sequence(marked, isolated(`${one}[^${one}]*|[^${one}]+`));
}

const preTokenizers: Record<string, (step: Fields) => Fields> = {
  Sequence: ({ pretokenizers }) => sequence(...listOf(pretokenizers).map(readablePreTokenizer)),
  Split: readableSplit,
  ByteLevel: readableByteLevel,
  Metaspace: readableMetaspace,
  // All of Unicode's numbers, where the library splits at ASCII digits alone.
  Digits: (step) => isolated(step['individual_digits'] === true ? '\\p{N}' : '\\p{N}+'),
  Punctuation: (step) =>
    readableSplit({ ...split(punctuation, textOr(step['behavior'], 'Isolated')) }),
  Whitespace: () => matchesOf(`[${wordCharacters}]+|[^${wordCharacters}\\s]+`),
  WhitespaceSplit: () => matchesOf('\\S+'),
  BertPreTokenizer: () => sequence(matchesOf('\\S+'), isolated(punctuation)),
};

function readablePreTokenizer(step: Fields): Fields {
  const type = String(step['type']);
  const readable = Object.hasOwn(preTokenizers, type) ? preTokenizers[type] : undefined;
  if (readable) return readable(step);
  throw new Error(`its pre-tokenizer ${type} is not one that headspark reads`);
}

const replace = (pattern: string, content: string): Fields => ({
  type: 'Replace',
  pattern: { Regex: pattern },
  content,
});
const normalizers = (...list: Fields[]): Fields => ({ type: 'Sequence', normalizers: list });

const textNormalizers: Record<string, (step: Fields) => Fields> = {
  Sequence: (step) => normalizers(...listOf(step['normalizers']).map(readableNormalizer)),
  // A dollar of the content would be JavaScript's.
  Replace: (step) =>
    replace(patternOf(step, 'Replace'), textOr(step['content'], '').replaceAll('$', '$$$$')),
  Strip: (step) =>
    normalizers(
      ...(step['strip_left'] === true ? [replace('\\A\\s+', '')] : []),
      ...(step['strip_right'] === true ? [replace('\\s+\\z', '')] : []),
    ),
  // Character by character: JavaScript writes a final sigma as such.
  Lowercase: () => normalizers(replace('Σ', 'σ'), { type: 'Lowercase' }),
};
const sameNormalizers = ['NFC', 'NFD', 'NFKC', 'NFKD', 'Prepend', 'StripAccents'];

/** `Precompiled` and `BertNormalizer` are only like Python's in the library, and others unknown. */
function readableNormalizer(step: Fields): Fields {
  const type = String(step['type']);
  if (sameNormalizers.includes(type)) return step;
  const readable = Object.hasOwn(textNormalizers, type) ? textNormalizers[type] : undefined;
  if (readable) return readable(step);
  throw new Error(`its normalizer ${type} is not one that headspark reads`);
}

/** Older files do not say which model they have; without merges the library would take it for a list of words. */
function readableModel(model: Fields): Fields {
  const { vocab, merges, dropout } = model;
  const implied = Array.isArray(vocab) ? 'Unigram' : Array.isArray(merges) ? 'BPE' : undefined;
  const type = model['type'] ?? implied;
  if (type !== 'BPE') return type === undefined ? model : { ...model, type };
  if (typeof dropout === 'number' && dropout > 0) {
    throw new Error('its model has a dropout, by which a text has other ids each time');
  }
  if (textOr(model['continuing_subword_prefix'], '') !== '') {
    throw new Error('its model has a continuing_subword_prefix, which headspark does not know');
  }
  return { ...model, type };
}

const flagNames = ['single_word', 'lstrip', 'rstrip', 'normalized', 'special'];

/** Ids of a model's own tokens. */
function idsOf({ vocab }: Fields): Map<string, number> {
  if (!Array.isArray(vocab))
    return new Map(Object.entries(fieldsOr(vocab) as Record<string, number>));
  return new Map(vocab.map((entry, id) => [String((entry as unknown[] | null)?.[0]), id]));
}

/**
 * transformers adds the tokens of tokenizer_config.json to those of tokenizer.json: its flags count, and its
 * special tokens are found in texts also where tokenizer.json has them in the vocabulary alone.
 */
function addedTokens(file: Fields, config: Fields): Fields[] {
  const tokens = new Map(listOf(file['added_tokens']).map((one) => [one['content'], { ...one }]));
  const ids = idsOf(fieldsOr(file['model']));
  for (const [index, token] of Object.entries(fieldsOr(config['added_tokens_decoder']))) {
    const { content, ...settings } = fieldsOr(token);
    if (typeof content !== 'string' || content === '') continue;
    const flags = Object.entries(settings).filter(([name]) => flagNames.includes(name));
    const own: Fields = tokens.get(content) ?? { id: ids.get(content) ?? Number(index), content };
    // What was special once stays so.
    const special = own['special'] === true || settings['special'] === true;
    tokens.set(content, { ...own, ...Object.fromEntries(flags), special });
  }
  for (const content of specialTexts(config)) {
    const id = ids.get(content);
    if (tokens.has(content) || id === undefined) continue;
    tokens.set(content, { id, content, special: true, normalized: false });
  }
  return [...tokens.values()];
}

const orNull = (value: unknown, readable: (step: Fields) => Fields): Fields | null =>
  isObject(value) ? readable(value) : null;

/**
 * What the library is given for a tokenizer.json. A file without one of its parts is left to it.
 * @throws Error saying which part is not read, to stand behind "is not a usable tokenizer".
 */
export function readableTokenizer(file: Fields, config: Fields): Fields {
  const readable: Fields = { ...file };
  if (isObject(file['model'])) readable['model'] = readableModel(file['model']);
  if (Array.isArray(file['added_tokens'])) readable['added_tokens'] = addedTokens(file, config);
  if ('normalizer' in file) readable['normalizer'] = orNull(file['normalizer'], readableNormalizer);
  if ('pre_tokenizer' in file) {
    readable['pre_tokenizer'] = orNull(file['pre_tokenizer'], readablePreTokenizer);
  }
  return readable;
}

/** Special tokens that are named in the config alone are special to transformers too. */
export function specialTexts(config: Fields): string[] {
  const lists = ['additional_special_tokens', 'extra_special_tokens'].map((name) => config[name]);
  const named = ['bos_token', 'eos_token', 'pad_token', 'unk_token'].map((name) => config[name]);
  return [...lists.flat(), ...named].flatMap((value) => {
    const text = isObject(value) ? value['content'] : value;
    return typeof text === 'string' && text !== '' ? [text] : [];
  });
}
