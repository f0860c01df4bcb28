// The graph of a study: every stage instance with the hash of all it depends on, in an order in
// which each comes after what it needs and a checkpoint's instances follow each other.

import { HeadsparkError } from '../errors.js';
import { settingsHash } from '../canonical-json.js';
import { version } from '../version.js';
import type { Facts } from './facts.js';
import type { StageInstance, StageKind } from './stage.js';
import { stageKinds } from './stages/index.js';
import type { Study } from './study.js';

/** An instance with its place in the store. */
export interface StageNode extends StageInstance {
  readonly key: string;
  /** Hash of all that decides the result beside what it reads. */
  readonly own: string;
  /** The same of the costly part; undefined where the stage has none. */
  readonly ownCostly: string | undefined;
  readonly implementation: StageKind;
  /** The nodes of its needs, by role. */
  readonly inputs: Readonly<Record<string, StageNode>>;
}

export interface StudyGraph {
  readonly nodes: readonly StageNode[];
  readonly kinds: readonly StageKind[];
}

const internal = (message: string): HeadsparkError =>
  new HeadsparkError('ERR_HEADSPARK_INTERNAL', message);

/** 80 bits of SHA-256: no collision in any study, and a folder name that fits on a line. */
const keyDigits = 20;

const shortHash = (content: Record<string, unknown>): string =>
  settingsHash(content).slice(0, keyDigits);

/**
 * Everything that decides the bytes of a result: version, processor level, weights, settings and
 * what it reads, which `key` names by the keys of those results. Threads, memory and shards are not
 * in it: they change nothing.
 */
function hashesOf(
  instance: StageInstance,
  place: { kind: StageKind; inputs: Record<string, StageNode>; facts: Facts },
): Pick<StageNode, 'key' | 'own' | 'ownCostly'> {
  const { kind, inputs, facts } = place;
  const { id, settings, weights, costly } = instance;
  const common = {
    headspark: version,
    kind: kind.kind,
    revision: kind.revision,
    weights: weights.map((name) => facts.checkpoints.get(name)!.fingerprint),
    ...(weights.length > 0 ? { device: facts.device, isa: facts.isa } : {}),
  };
  const own = { ...common, id, settings };
  const needs = Object.fromEntries(Object.entries(inputs).map(([role, { key }]) => [role, key]));
  return {
    key: shortHash({ ...own, needs }),
    own: shortHash(own),
    ownCostly: costly && shortHash({ ...common, settings: costly.settings }),
  };
}

/** Builds the graph; `kinds` is for tests. */
export function buildGraph(
  study: Study,
  facts: Facts,
  kinds: readonly StageKind[] = stageKinds,
): StudyGraph {
  const nodes: StageNode[] = [];
  const byName = new Map<string, StageNode>();
  // Kinds are listed in dependency order, so a node's needs are always there before it.
  for (const kind of kinds) {
    for (const instance of kind.instances(study, facts)) {
      const inputs = Object.fromEntries(
        Object.entries(instance.needs).map(([role, need]) => {
          const node = byName.get(`${need.kind}/${need.id}`);
          if (!node) throw internal(`${kind.kind} ${instance.id} needs ${need.kind} ${need.id}.`);
          return [role, node];
        }),
      );
      const name = `${kind.kind}/${instance.id}`;
      if (byName.has(name)) throw internal(`two stages are called ${name}.`);
      const hashes = hashesOf(instance, { kind, inputs, facts });
      const node: StageNode = { ...instance, ...hashes, implementation: kind, inputs };
      byName.set(name, node);
      nodes.push(node);
    }
  }
  return { nodes: sorted(nodes, study), kinds };
}

/**
 * Depth first along the checkpoints: a model is loaded once for its attribution, circuit and
 * evaluation. The order decides nothing but time.
 */
function sorted(nodes: readonly StageNode[], study: Study): StageNode[] {
  const done = new Set<StageNode>();
  const order: StageNode[] = [];
  const visit = (node: StageNode): void => {
    if (done.has(node)) return;
    done.add(node);
    Object.values(node.inputs).forEach(visit);
    order.push(node);
  };
  for (const { name } of study.checkpoints) {
    nodes.filter((node) => node.weights.includes(name) && !('diff' in node.inputs)).forEach(visit);
  }
  nodes.forEach(visit);
  return order;
}
