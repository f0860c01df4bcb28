// From a problem to the tokens a model continues: the chat template with thinking on or off, a
// system prompt, and a suffix that asks for a boxed answer.
import type { ChatTemplate } from '../chat-template.js';
import { HeadsparkError } from '../errors.js';
import type { Tokenizer } from '../tokenizer.js';
import type { Benchmark, Problem, SuffixKind } from './types.js';

/** The paper's way of asking for an answer that can be found. */
export const boxedSuffix =
  'Please reason step by step, and put your final answer within \\boxed{}.';
const boxedLetterSuffix =
  'Please reason step by step, and put the letter of your answer within \\boxed{}.';

export interface PromptForm {
  /** Through the chat template, or the text alone. Default: chat where the model has a template. */
  readonly template?: 'chat' | 'plain' | undefined;
  /** The template's thinking switch; left to the template where absent. */
  readonly enableThinking?: boolean | undefined;
  readonly system?: string | undefined;
  /** `boxed`, `none` or a text of one's own. Default: what the benchmark has. */
  readonly suffix?: string | undefined;
}

/** What decides the prompts, with the defaults filled in; part of a run's settings. */
export interface ResolvedPromptForm {
  readonly template: 'chat' | 'plain';
  readonly thinking: 'on' | 'off' | 'default';
  readonly system: string | null;
  readonly suffix: string;
}

/** What is used of a model. */
export interface PromptModel {
  readonly tokenizer: Tokenizer | undefined;
  readonly chatTemplate: ChatTemplate | undefined;
  readonly info: { readonly label: string; readonly folder: string };
}

const invalid = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INVALID_ARGUMENT', message);

/** Fills in the defaults of a prompt form. @throws ERR_HEADSPARK_INVALID_ARGUMENT, _TOKENIZER. */
export function resolvePromptForm(
  form: PromptForm,
  model: PromptModel,
  suffix: SuffixKind,
): ResolvedPromptForm {
  if (!model.tokenizer) {
    const message = `${model.info.folder} has no tokenizer.json, which a benchmark needs.`;
    throw new HeadsparkError('ERR_HEADSPARK_TOKENIZER', message);
  }
  const template = form.template ?? (model.chatTemplate ? 'chat' : 'plain');
  if (template === 'chat' && !model.chatTemplate) {
    throw invalid(`${model.info.label} has no chat template; ask with the template "plain".`);
  }
  if (template === 'plain' && (form.enableThinking !== undefined || form.system !== undefined)) {
    const option = form.system === undefined ? 'the thinking switch' : 'a system prompt';
    throw invalid(
      model.chatTemplate
        ? `${option} needs the chat template, which the template "plain" leaves out; give one of the two.`
        : `${option} needs a chat template, and ${model.info.label} has none; leave it out.`,
    );
  }
  const thinking =
    form.enableThinking === undefined ? 'default' : form.enableThinking ? 'on' : 'off';
  return { template, thinking, system: form.system ?? null, suffix: form.suffix ?? suffix };
}

function suffixText(suffix: string, problem: Problem): string {
  if (suffix === 'none') return '';
  if (suffix === 'boxed') return problem.choices ? boxedLetterSuffix : boxedSuffix;
  return suffix;
}

/** What a dated template shows: a fixed day, so that a run can go on tomorrow. */
const promptDate = new Date(2024, 0, 1);

/** The text that the user's turn holds. */
export function questionText(problem: Problem, suffix: string): string {
  const added = suffixText(suffix, problem);
  return added === '' ? problem.text : `${problem.text}\n${added}`;
}

/** A problem must not open or close turns of the conversation. */
function checkSpecialTokens(problem: Problem, model: PromptModel): void {
  const specials = Object.values(model.tokenizer!.specialTokens).filter(
    (token) => token.length > 2,
  );
  const found = specials.find((token) => problem.text.includes(token));
  if (found === undefined) return;
  throw new HeadsparkError(
    'ERR_HEADSPARK_PAIR_FORMAT',
    `problem "${problem.id}" contains ${JSON.stringify(found)}, a special token of the model; ` +
      'remove it from the benchmark.',
  );
}

/** The prompt text of a problem. */
export function promptText(problem: Problem, form: ResolvedPromptForm, model: PromptModel): string {
  const question = questionText(problem, form.suffix);
  if (form.template === 'plain') return question;
  return model.chatTemplate!.render(
    [
      ...(form.system === null ? [] : [{ role: 'system', content: form.system }]),
      { role: 'user', content: question },
    ],
    {
      now: promptDate,
      ...(form.thinking === 'default' ? {} : { enableThinking: form.thinking === 'on' }),
    },
  );
}

/**
 * Token ids of every problem's prompt, in order.
 * @throws ERR_HEADSPARK_TOKENIZER, ERR_HEADSPARK_INVALID_ARGUMENT (no thinking switch, a template
 *   that refuses a system prompt), ERR_HEADSPARK_PAIR_FORMAT (special tokens inside a problem).
 */
export function benchmarkPrompts(
  benchmark: Benchmark,
  form: ResolvedPromptForm,
  model: PromptModel,
): Int32Array[] {
  return benchmark.problems.map((problem) => {
    checkSpecialTokens(problem, model);
    const text = promptText(problem, form, model);
    return model.tokenizer!.encode(text, { addSpecialTokens: form.template === 'plain' });
  });
}
