// What headspark says of a checkpoint and a task of make.py: every quantity that main.mjs compares, as
// columns, each a list of numbers of one kind and size, in the order of make.py's.
import { existsSync } from 'node:fs';
import path from 'node:path';

const pairsOf = (task) =>
  task.pairs.map((pair, index) => ({
    ...pair,
    index,
    line: index + 1,
    clean: Int32Array.from(pair.clean),
    corrupted: Int32Array.from(pair.corrupted),
  }));

async function circuitValues(lib, model, { pairs, task }) {
  const { how, edges } = task.circuit;
  const { kvEdges, ...options } = how;
  const inGraph = Uint8Array.from(edges.flat());
  const circuit = {
    shape: model.shape(kvEdges),
    meta: {},
    scores: new Float32Array(inGraph.length),
    inGraph,
    nodesInGraph: new Uint8Array(edges.length).fill(1),
  };
  const { circuits } = await lib.evaluateCircuits(model, pairs, [circuit], options);
  return circuits[0].values;
}

async function ablated(lib, model, { pairs, task }) {
  const sweep = await lib.Sweep.create(model, pairs, task.sweep.settings);
  const result = await sweep.run(task.sweep.variants);
  sweep.dispose();
  return result;
}

/** By property the values of all heads; null where no prompt has one. */
async function propertiesOf(lib, model, { task }) {
  const { prompts, queries } = task.heads;
  const { heads } = await lib.headProperties(model, prompts, { queries, resamples: 1 });
  const names = Object.keys(task.fp64.heads[0]);
  return names.map((name) => heads.map(({ values }) => values[name]?.estimate ?? null));
}

/** torch's numbers as the same columns. */
export function expectedColumns(lib, { fp64, fp32, shaken, attribution }, shape) {
  const graph = lib.graphOf({ ...shape, kvEdges: attribution.kvEdges });
  return [fp64, fp32, shaken].map(({ logits, scores, circuit, ablation, heads }) => ({
    logits: [logits],
    scores: [graph.compact(Float64Array.from(scores))],
    circuit: [circuit],
    ablation: [ablation],
    heads: Object.keys(heads[0]).map((name) => heads.map((values) => values[name])),
  }));
}

export async function computed(lib, folder, task) {
  const adapter = path.join(folder, 'adapter');
  const model = await lib.loadModel(folder, existsSync(adapter) ? { adapter } : {});
  const pairs = pairsOf(task);
  const work = { pairs, task };
  const { scores, shape } = await lib.attribute(model, pairs, task.attribution);
  const sweep = await ablated(lib, model, work);
  const rows = task.greedy.map(({ prompt, heads }) => ({ prompt: Int32Array.from(prompt), heads }));
  const maxNewTokens = task.greedy[0].tokens.length;
  const found = {
    shape,
    right: Array.from(sweep.correct),
    tokens: await lib.generateGreedy(model, rows, { maxNewTokens, stopTokens: [] }),
    columns: {
      logits: [
        await lib.computeLogits(
          model,
          pairs.map(({ clean }) => clean),
        ),
      ],
      scores: [lib.graphOf(shape).compact(scores)],
      circuit: [await circuitValues(lib, model, work)],
      ablation: [sweep.values],
      heads: await propertiesOf(lib, model, work),
    },
  };
  model.dispose();
  return found;
}
