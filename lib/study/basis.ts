// What results are made of, by content. A key names the results that a stage reads, and changes with
// them; the basis holds what it reads of them. So a stage whose inputs were computed again and came to
// the same takes its own result over, under the new key. Known only once all inputs are stored.

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { settingsHash } from '../canonical-json.js';
import type { StageNode } from './graph.js';
import {
  isSameBasis,
  unlessDamaged,
  workName,
  type Basis,
  type ResultName,
  type ResultStore,
  type StoredResult,
} from './store.js';

/** What a node is made of, and the parts of results that it reads, by role. */
export interface KnownBasis {
  readonly basis: Basis;
  readonly parts: ReadonlyMap<string, unknown>;
}

/** Whether a stage without a result takes over one of other settings, and on what that depends. */
export interface Outlook {
  /** Inputs that are not there yet, in words; empty: it will. */
  readonly dependsOn: readonly string[];
}

const digestDigits = 20;

// The order of keys counts: it is that of what is written.
const digestOf = (value: unknown): string =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, digestDigits);

interface Read {
  readonly digest: string;
  /** Undefined where files are read. */
  readonly part?: unknown;
}

/** `the emergent heads of diff post.sums.direct` */
function readName(node: StageNode, role: string): string {
  const { kind, id, part } = node.needs[role];
  return `${part?.name ?? 'the result'} of ${kind} ${id}`;
}

/** Reads what nodes are made of from the results of a run. */
export class Bases {
  readonly #store: ResultStore;
  readonly #known = new Map<StageNode, KnownBasis>();

  constructor(store: ResultStore) {
    this.#store = store;
  }

  /** Undefined where the input has no result, or one that lost bytes. */
  async #read(node: StageNode, role: string): Promise<Read | undefined> {
    const input = node.inputs[role];
    const { files, part } = node.needs[role];
    const stored = await unlessDamaged(this.#store.find(input));
    if (!stored) return undefined;
    if (part) {
      const folder = this.#store.folderOf(input);
      const value = await part.read((file) => join(folder, file));
      return { digest: digestOf(value), part: value };
    }
    const own = stored.files.filter(({ name }) => files?.includes(name) ?? true);
    return { digest: digestOf(own.map(({ name, sha256 }) => [name, sha256])) };
  }

  /** Undefined while an input has no result. */
  async of(node: StageNode): Promise<KnownBasis | undefined> {
    const known = this.#known.get(node);
    if (known) return known;
    const reads: Record<string, string> = {};
    const parts = new Map<string, unknown>();
    for (const role of Object.keys(node.inputs)) {
      const read = await this.#read(node, role);
      if (!read) return undefined;
      reads[role] = read.digest;
      if ('part' in read) parts.set(role, read.part);
    }
    const { own, ownCostly, costly } = node;
    const costlyReads = costly?.needs.map((role) => [role, reads[role]] as const) ?? [];
    const basis: Basis = {
      own,
      reads,
      ...(ownCostly === undefined
        ? {}
        : { costly: digestOf([ownCostly, settingsHash(Object.fromEntries(costlyReads))]) }),
    };
    this.#known.set(node, { basis, parts });
    return { basis, parts };
  }

  /** The name of its work; undefined while that is not known. */
  async workOf(node: StageNode): Promise<ResultName | undefined> {
    const known = await this.of(node);
    return known && workName(node, known.basis);
  }

  /** True where an earlier process began with it. */
  async isBegun(node: StageNode): Promise<boolean> {
    const work = await this.workOf(node);
    return work !== undefined && this.#store.isBegun(work);
  }

  /** True where it need not begin from nothing: an earlier process did, or has something alike. */
  async isPartlyDone(node: StageNode): Promise<boolean> {
    const known = await this.of(node);
    if (!known) return false;
    return (await this.isBegun(node)) || (await this.#alike(node, known)).length > 0;
  }

  #ofNode({ kind, id }: StageNode): Promise<StoredResult[]> {
    return this.#store.findAll(kind, (other) => other === id);
  }

  /** A whole result under another key that was made of the same. */
  async sameResult(node: StageNode, { basis }: KnownBasis): Promise<StoredResult | undefined> {
    for (const stored of await this.#ofNode(node)) {
      const same = stored.basis !== undefined && isSameBasis(stored.basis, basis);
      if (same && (await this.#store.isWhole(stored))) return stored;
    }
    return undefined;
  }

  async #alike(node: StageNode, { basis }: KnownBasis): Promise<StoredResult[]> {
    const { kind, costly } = node;
    if (!costly) return [];
    const isOf = (id: string): boolean => id === costly.id || id.startsWith(`${costly.id}.`);
    const all = await this.#store.findAll(kind, isOf);
    return all.filter((stored) => stored.basis?.costly === basis.costly);
  }

  /** Whole results of other settings with the same costly part. */
  async alikeResults(node: StageNode, known: KnownBasis): Promise<StoredResult[]> {
    const whole: StoredResult[] = [];
    for (const stored of await this.#alike(node, known)) {
      if (await this.#store.isWhole(stored)) whole.push(stored);
    }
    return whole;
  }

  /** Of a node without a result; undefined where no stored one can become its own. */
  async outlookOf(node: StageNode): Promise<Outlook | undefined> {
    const candidates = (await this.#ofNode(node)).filter(({ basis }) => basis?.own === node.own);
    if (candidates.length === 0) return undefined;
    const reads = new Map<string, string | undefined>();
    for (const role of Object.keys(node.inputs)) {
      reads.set(role, (await this.#read(node, role))?.digest);
    }
    const fits = candidates.some(({ basis }) =>
      [...reads].every(([role, digest]) => digest === undefined || basis!.reads[role] === digest),
    );
    if (!fits) return undefined;
    const open = [...reads].filter(([, digest]) => digest === undefined);
    return { dependsOn: open.map(([role]) => readName(node, role)) };
  }
}
