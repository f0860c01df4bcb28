// The journal of `generate`: completions that are finished, a line each, in --journal or beside --out
// until that is written. Rows are known by their number: the settings in its header decide them.

import { settingsHash } from '../canonical-json.js';
import { HeadsparkError } from '../errors.js';
import type { Completion } from '../generation.js';
import { Journal } from '../journal.js';
import type { Model } from '../model.js';
import { modelProvenance } from '../model-provenance.js';
import type { Prompt } from '../prompts.js';
import { version } from '../version.js';

/** What is kept of a completion. */
export type FinishedRow = Pick<Completion, 'tokens' | 'finish' | 'promptTokens' | 'logProbs'>;

/** What decides the completions of a model. */
export function journalSettings(
  model: Model,
  prompts: readonly Prompt[],
  options: Record<string, unknown>,
): Record<string, unknown> {
  return {
    verb: 'generate',
    headspark: version,
    ...modelProvenance(model),
    prompts: prompts.length,
    promptsHash: settingsHash({ prompts: prompts.map(({ tokens }) => [...tokens]) }),
    ...options,
  };
}

function checkRow(value: unknown, place: string): FinishedRow {
  const { tokens, finish, promptTokens, logProbs } = (value ?? {}) as Partial<FinishedRow>;
  const fits =
    Array.isArray(tokens) &&
    tokens.every((token) => Number.isInteger(token)) &&
    Array.isArray(logProbs) &&
    logProbs.every((value) => Number.isFinite(value)) &&
    typeof finish === 'string' &&
    Number.isInteger(promptTokens);
  if (fits) return value as FinishedRow;
  throw new HeadsparkError(
    'ERR_HEADSPARK_FILE_CORRUPT',
    `${place} is no completion; remove the journal to start over.`,
  );
}

/** The finished rows of this run and of those before it; without a path of this run alone. */
export class CompletionsJournal {
  readonly #journal: Journal | undefined;

  private constructor(journal: Journal | undefined) {
    this.#journal = journal;
  }

  /** @throws as `Journal.open`. */
  static async open(
    path: string | undefined,
    settings: () => Record<string, unknown>,
    onRemark: (remark: string) => void,
  ): Promise<CompletionsJournal> {
    if (path === undefined) return new CompletionsJournal(undefined);
    return new CompletionsJournal(await Journal.open({ path, settings: settings(), onRemark }));
  }

  get path(): string | undefined {
    return this.#journal?.path;
  }

  /** @throws ERR_HEADSPARK_FILE_CORRUPT for a record that is none of a completion. */
  get(row: number): FinishedRow | undefined {
    const record = this.#journal?.get(String(row));
    if (record === undefined) return undefined;
    return checkRow(record, `${this.path}: record "${row}"`);
  }

  /** @throws ERR_HEADSPARK_FILE_WRITE. */
  async add(row: number, { tokens, finish, promptTokens, logProbs }: FinishedRow): Promise<void> {
    await this.#journal?.append(String(row), { tokens, finish, promptTokens, logProbs });
  }

  async close(): Promise<void> {
    await this.#journal?.close();
  }
}
