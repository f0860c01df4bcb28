// Chat templates (chat_template.jinja, or inside tokenizer_config.json) through @huggingface/jinja:
// messages to prompt text, with thinking turned on or off where the template has that switch.
import { join } from 'node:path';
import { HeadsparkError } from './errors.js';
import { readTextIfExists } from './json-file.js';
import { strftime } from './strftime.js';
import { TemplateInterpreter } from './template-interpreter.js';
import { Environment, parse, tokenize, type TemplateNode } from './template-library.js';
import { FunctionValue, textOf, type TemplateFunction } from './template-values.js';
import { readTokenizerConfig, specialTokensOf } from './tokenizer.js';

/** One message of a conversation; templates may read further keys (`reasoning_content`, ...). */
export interface ChatMessage {
  role: string;
  content: string;
  [key: string]: unknown;
}

export interface RenderOptions {
  /** End with the opening of the assistant's turn. Default true. */
  addGenerationPrompt?: boolean | undefined;
  /** The template's thinking switch; left to the template's default when absent. */
  enableThinking?: boolean | undefined;
  /** Further variables for the template. */
  variables?: Record<string, unknown> | undefined;
  /** The time that `strftime_now` shows; give one to make dated templates reproducible. */
  now?: Date | undefined;
}

/** What every template knows; Jinja has both spellings. */
const constants = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
  range: (...numbers: number[]) => {
    const [start, stop] = numbers.length > 1 ? numbers : [0, numbers[0]];
    const step = numbers[2] ?? 1;
    if (step === 0) throw new Error('range() has a step of 0');
    const length = Math.min(Math.max(0, Math.ceil((stop - start) / step)), 100_000);
    return Array.from({ length }, (_, index) => start + index * step);
  },
};

/**
 * What the assistant said, which transformers can mark in a mask: a block of its own, with its own names. The
 * library would take the tags out, and spaces before them that a tag behind them strips.
 */
const generationTags = /\{%(-?)\s*(end)?generation\s*(-?)%\}/g;
const generation = new FunctionValue((_, scope) => {
  const said = scope.variables.get('caller')!.value as TemplateFunction;
  return said([], scope);
});

interface ChatTemplateParts {
  /** File the template came from, for messages. */
  origin: string;
  source: string;
  specialTokens: Record<string, string>;
}

/** A parsed chat template with the special tokens of its checkpoint. */
export class ChatTemplate {
  readonly origin: string;
  readonly source: string;
  /** True when the template reads `enable_thinking` (Qwen3, SmolLM3) or `thinking` (DeepSeek). */
  readonly hasThinkingSwitch: boolean;
  readonly #program: TemplateNode;
  readonly #specialTokens: Record<string, string>;

  /** @throws ERR_HEADSPARK_TOKENIZER when the template cannot be parsed. */
  constructor(parts: ChatTemplateParts) {
    this.origin = parts.origin;
    this.source = parts.source;
    this.#specialTokens = parts.specialTokens;
    this.hasThinkingSwitch = /\b(enable_thinking|thinking)\b/.test(statementsOf(parts.source));
    try {
      // Jinja knows one kind of line end, and transformers sets these two. The library takes {- and -} of
      // plain text for tags, whose spaces it drops.
      const source = parts.source
        .replace(/\r\n?/g, '\n')
        .replace(/^([ \t]+)\{-/gm, "$1{{ '{' }}-")
        .replace(/-\}\n/g, "-{{ '}' }}\n")
        .replace(generationTags, (_, before: string, end: string | undefined, after: string) => {
          const tag = end === undefined ? 'call headspark_generation()' : 'endcall';
          return `{%${before} ${tag} ${after}%}`;
        });
      this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
    } catch (error) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_TOKENIZER',
        `the chat template in ${parts.origin} cannot be parsed: ${(error as Error).message}.`,
        { cause: error },
      );
    }
  }

  /**
   * The prompt text of a conversation. Encode it with `addSpecialTokens: false`: a template writes
   * its own bos.
   * @throws ERR_HEADSPARK_INVALID_ARGUMENT when the template refuses the messages, or
   *   `enableThinking` is set for a template that has no such switch.
   */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    const { addGenerationPrompt = true, enableThinking, variables = {}, now } = options;
    if (enableThinking !== undefined && !this.hasThinkingSwitch) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_INVALID_ARGUMENT',
        `the chat template in ${this.origin} has no thinking switch (enable_thinking); ` +
          'leave the thinking option out.',
      );
    }
    const thinking =
      enableThinking === undefined
        ? {}
        : { enable_thinking: enableThinking, thinking: enableThinking };
    let refusal: string | undefined;
    try {
      const environment = new Environment();
      const names = {
        ...constants,
        messages: structuredClone(messages),
        add_generation_prompt: addGenerationPrompt,
        tools: null,
        documents: null,
        ...this.#specialTokens,
        ...thinking,
        strftime_now: (format: string) => strftime(now ?? new Date(), format),
        raise_exception: (message: string) => {
          refusal = String(message);
          throw new Error(refusal);
        },
        ...variables,
      };
      for (const [name, value] of Object.entries(names)) environment.set(name, value);
      environment.setVariable('headspark_generation', generation);
      return textOf(new TemplateInterpreter(environment).evaluate(this.#program, environment));
    } catch (error) {
      const reason =
        refusal === undefined
          ? `failed: ${(error as Error).message}`
          : `refuses the messages: ${refusal}`;
      throw new HeadsparkError(
        refusal === undefined ? 'ERR_HEADSPARK_TOKENIZER' : 'ERR_HEADSPARK_INVALID_ARGUMENT',
        `the chat template in ${this.origin} ${reason.replace(/\.$/, '')}.`,
        { cause: error },
      );
    }
  }
}

/** The code parts of a template, so that `<thinking>` in its plain text is not taken for a name. */
function statementsOf(source: string): string {
  return (source.match(/\{[%{][\s\S]*?[%}]\}/g) ?? [])
    .join('\n')
    .replace(/'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"/g, "''");
}

/** Renders messages through a template; the same as `template.render`. */
export function renderChat(
  template: ChatTemplate,
  messages: readonly ChatMessage[],
  options: RenderOptions = {},
): string {
  return template.render(messages, options);
}

function pickNamed(templates: unknown[], name: string, origin: string): string {
  const named = templates.filter(
    (item): item is { name: string; template: string } =>
      typeof (item as { name?: unknown } | null)?.name === 'string' &&
      typeof (item as { template?: unknown }).template === 'string',
  );
  const found = named.find((item) => item.name === name);
  if (!found) {
    const names = named.map((item) => `"${item.name}"`).join(', ') || 'none';
    throw new HeadsparkError(
      'ERR_HEADSPARK_TOKENIZER',
      `${origin} has no chat template named "${name}"; it has ${names}.`,
    );
  }
  return found.template;
}

/**
 * Loads a checkpoint folder's chat template: chat_template.jinja, else `chat_template` in
 * tokenizer_config.json (a text, or a list of named ones); names other than `default` are also
 * looked for in additional_chat_templates/NAME.jinja.
 * @returns undefined when the folder has none.
 * @throws ERR_HEADSPARK_TOKENIZER for an unknown name or a template that cannot be parsed.
 */
export async function loadChatTemplate(
  folder: string,
  name = 'default',
): Promise<ChatTemplate | undefined> {
  const code = 'ERR_HEADSPARK_TOKENIZER';
  if (!/^[\w.-]+$/.test(name) || name.startsWith('.')) {
    throw new HeadsparkError(code, `"${name}" is not the name of a chat template.`);
  }
  const configPath = join(folder, 'tokenizer_config.json');
  const config = (await readTokenizerConfig(folder)) ?? {};
  const specialTokens = specialTokensOf(config) as Record<string, string>;
  const file =
    name === 'default' ? 'chat_template.jinja' : join('additional_chat_templates', `${name}.jinja`);
  const jinja = await readTextIfExists(join(folder, file), { code });
  if (jinja !== undefined) {
    return new ChatTemplate({ origin: join(folder, file), source: jinja, specialTokens });
  }
  const value = config['chat_template'];
  if (Array.isArray(value)) {
    const source = pickNamed(value, name, configPath);
    return new ChatTemplate({ origin: configPath, source, specialTokens });
  }
  if (name !== 'default') {
    throw new HeadsparkError(code, `${folder} has no chat template named "${name}".`);
  }
  if (typeof value !== 'string') return undefined;
  return new ChatTemplate({ origin: configPath, source: value, specialTokens });
}
