// A YAML file that remembers where everything stands, so that a mistake found later, by whatever
// check, is reported with its line.

import { LineCounter, isMap, isScalar, parseDocument, type Document, type Node } from 'yaml';
import { HeadsparkError } from '../errors.js';
import { readTextIfExists } from '../json-file.js';

/** Keys and indexes from the top of the file to a value. */
export type ValuePath = readonly (string | number)[];

/** What is wrong, and where. */
export interface Problem {
  readonly path: ValuePath;
  /** A sentence without the place, without a full stop at the end. */
  readonly message: string;
  /** The problem is the key itself rather than its value. */
  readonly atKey?: true;
}

const spell = (path: ValuePath): string =>
  path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part + 1}]` : text === '' ? part : `${text}.${part}`,
    '',
  );

const megabyte = 1 << 20;

/** A parsed study file. */
export class StudySource {
  readonly path: string;
  readonly text: string;
  readonly value: unknown;
  readonly #document: Document;
  readonly #lines: LineCounter;

  private constructor(path: string, text: string) {
    this.path = path;
    this.text = text;
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    const [error] = this.#document.errors;
    if (error) {
      const { line } = this.#lines.linePos(error.pos[0]);
      const what = error.message.split('\n')[0].replace(/\.$/, '');
      throw new HeadsparkError('ERR_HEADSPARK_CONFIG', `${path}:${line}: not valid YAML: ${what}.`);
    }
    try {
      this.value = this.#document.toJS({ maxAliasCount: 100 });
    } catch (cause) {
      const what = (cause as Error).message;
      throw new HeadsparkError('ERR_HEADSPARK_CONFIG', `${path}:1: not valid YAML: ${what}.`, {
        cause,
      });
    }
  }

  /** @throws ERR_HEADSPARK_FILE_NOT_FOUND, ERR_HEADSPARK_CONFIG (not YAML, over 1 MiB). */
  static async read(path: string): Promise<StudySource> {
    const text = await readTextIfExists(path, { code: 'ERR_HEADSPARK_CONFIG', maxBytes: megabyte });
    if (text === undefined) {
      throw new HeadsparkError(
        'ERR_HEADSPARK_FILE_NOT_FOUND',
        `the study file ${path} does not exist; make one with: headspark study init ${path}.`,
      );
    }
    return new StudySource(path, text);
  }

  /** Whether the file says something there. */
  has(path: ValuePath): boolean {
    return this.#document.hasIn(path);
  }

  /** Line of a value, or of the nearest thing round it that is there. From 1. */
  lineOf(path: ValuePath, atKey = false): number {
    for (let length = path.length; length > 0; length--) {
      const parent: unknown = this.#document.getIn(path.slice(0, length - 1), true);
      const last = path[length - 1];
      const pair = isMap(parent)
        ? parent.items.find((item) => isScalar(item.key) && item.key.value === last)
        : undefined;
      const wantsKey = length === path.length && atKey;
      const node = (wantsKey ? undefined : this.#document.getIn(path.slice(0, length), true)) as
        Node | undefined;
      const place = node?.range?.[0] ?? (pair?.key as Node | undefined)?.range?.[0];
      if (place !== undefined) return this.#lines.linePos(place).line;
    }
    return 1;
  }

  /** `FILE:LINE: KEY: what.` */
  describe({ path, message, atKey }: Problem): string {
    const place = `${this.path}:${this.lineOf(path, atKey)}`;
    return `${place}: ${path.length === 0 ? '' : `${spell(path)}: `}${message}.`;
  }

  /** All problems as one error, a line each. */
  error(problems: readonly Problem[]): HeadsparkError {
    const lines = problems.slice(0, 20).map((problem) => this.describe(problem));
    if (problems.length > 20) lines.push(`and ${problems.length - 20} more problems.`);
    return new HeadsparkError('ERR_HEADSPARK_CONFIG', lines.join('\n'));
  }
}
