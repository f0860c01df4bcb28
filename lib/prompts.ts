// Prompts to continue: texts, chat messages through the model's template, or token ids, from the
// command line or a JSONL file.
import { checkAnyText, checkPromptModel, checkText } from './argument-checks.js';
import type { ChatMessage } from './chat-template.js';
import { HeadsparkError } from './errors.js';
import type { Model } from './model.js';
import { checkOptionNames, optionNames, trueOrFalse } from './option-checks.js';
import { readLines } from './pairs/lines.js';
import { pairError } from './pairs/pair-error.js';

/** Token ids to continue, for the `prompt` of a request of `generate`. */
export interface Prompt {
  tokens: Int32Array;
  /** What was tokenized; undefined for token ids. */
  text?: string;
  /** The line's `id`, if it has one. */
  id?: string;
}

/** How a text becomes a prompt. */
export interface PromptOptions {
  /** Texts are what the user says, rendered through the chat template. Default false. */
  chat?: boolean | undefined;
  /** System message before a user's; means `chat`. */
  system?: string | undefined;
  /** The template's thinking switch. */
  enableThinking?: boolean | undefined;
}

type PromptModel = Pick<Model, 'tokenizer' | 'chatTemplate' | 'info'>;

const promptOptions = optionNames<PromptOptions>({
  chat: true,
  system: true,
  enableThinking: true,
});

function checkPromptOptions(call: string, options: PromptOptions): void {
  checkOptionNames(call, options, promptOptions);
  trueOrFalse('chat', options.chat, false);
  trueOrFalse('enableThinking', options.enableThinking, false);
  if (options.system !== undefined) checkAnyText(call, options.system);
}

function tokenized(model: PromptModel, text: string, addSpecialTokens: boolean): Prompt {
  if (!model.tokenizer) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TOKENIZER',
      `${model.info.folder} has no tokenizer.json, which a prompt in text needs; give token ids.`,
    );
  }
  const tokens = model.tokenizer.encode(text, { addSpecialTokens });
  if (tokens.length > 0) return { tokens, text };
  throw new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', 'a prompt has no tokens.');
}

function rendered(
  model: PromptModel,
  messages: readonly ChatMessage[],
  { enableThinking }: PromptOptions,
): Prompt {
  if (!model.chatTemplate) {
    throw new HeadsparkError(
      'ERR_HEADSPARK_TOKENIZER',
      `${model.info.folder} has no chat template; give the prompt as plain text.`,
    );
  }
  const options = enableThinking === undefined ? {} : { enableThinking };
  return tokenized(model, model.chatTemplate.render(messages, options), false);
}

/**
 * The prompt of a text.
 * @throws ERR_HEADSPARK_TOKENIZER without a tokenizer or chat template, _INVALID_ARGUMENT for an
 *   empty text, and for a thinking switch without the template.
 */
export function promptOf(model: PromptModel, text: string, options: PromptOptions = {}): Prompt {
  checkPromptModel('promptOf', model);
  checkAnyText('promptOf', text);
  checkPromptOptions('promptOf', options);
  const { chat, system, enableThinking } = options;
  if (!chat && system === undefined) {
    if (enableThinking === undefined) return tokenized(model, text, true);
    throw new HeadsparkError(
      'ERR_HEADSPARK_INVALID_ARGUMENT',
      'a text alone has no thinking switch, which the chat template has: render it by that (chat; ' +
        '--chat on the command line), or leave the thinking option out.',
    );
  }
  const before: ChatMessage[] = system === undefined ? [] : [{ role: 'system', content: system }];
  return rendered(model, [...before, { role: 'user', content: text }], options);
}

function isMessages(value: unknown): value is ChatMessage[] {
  return (
    Array.isArray(value) &&
    value.length > 0 &&
    value.every(
      (item: Partial<ChatMessage> | null) =>
        typeof item?.role === 'string' && typeof item.content === 'string',
    )
  );
}

function idsOf(value: unknown, vocab: number): Int32Array | undefined {
  if (!Array.isArray(value) || value.length === 0) return undefined;
  const good = value.every((id) => Number.isInteger(id) && id >= 0 && id < vocab);
  return good ? Int32Array.from(value as number[]) : undefined;
}

function fromLine(
  model: PromptModel,
  raw: Record<string, unknown>,
  options: PromptOptions,
): Prompt {
  const { prompt, messages } = raw;
  if ((prompt === undefined) === (messages === undefined)) {
    throw new Error('a line has either "prompt" or "messages".');
  }
  if (messages !== undefined) {
    if (isMessages(messages)) return rendered(model, messages, options);
    throw new Error('"messages" must be a list of {"role": ..., "content": ...} with texts.');
  }
  if (typeof prompt === 'string') return promptOf(model, prompt, options);
  const { vocab } = model.info;
  const tokens = idsOf(prompt, vocab);
  if (tokens) return { tokens };
  throw new Error(`"prompt" must be a text or a list of token ids from 0 to ${vocab - 1}.`);
}

/**
 * The prompts of a JSONL file, one object a line: {"prompt": text or ids} or {"messages": [...]},
 * with an optional "id". Empty lines are skipped.
 * @throws ERR_HEADSPARK_FILE_NOT_FOUND; _PAIR_FORMAT or _TOKENIZER naming file and line.
 */
export async function readPrompts(
  model: PromptModel,
  file: string,
  options: PromptOptions = {},
): Promise<Prompt[]> {
  checkPromptModel('readPrompts', model);
  checkText('readPrompts', 'a path', file);
  checkPromptOptions('readPrompts', options);
  const prompts: Prompt[] = [];
  for await (const { number: line, text } of readLines(file)) {
    if (text.trim() === '') continue;
    try {
      const raw: unknown = JSON.parse(text);
      if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
        throw new Error('a line must be an object.');
      }
      const { id } = raw as { id?: unknown };
      const named = typeof id === 'string' || typeof id === 'number' ? { id: String(id) } : {};
      prompts.push({ ...fromLine(model, raw as Record<string, unknown>, options), ...named });
    } catch (cause) {
      const code = cause instanceof HeadsparkError ? { code: cause.code } : {};
      const message =
        cause instanceof SyntaxError ? 'the line is not JSON.' : String((cause as Error).message);
      throw pairError({ file, line }, message, { ...code, cause });
    }
  }
  if (prompts.length === 0) {
    throw new HeadsparkError('ERR_HEADSPARK_PAIR_FORMAT', `${file} has no prompts.`);
  }
  return prompts;
}
