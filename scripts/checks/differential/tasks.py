"""What a random checkpoint is asked, drawn at random as well: pairs, how edges are scored, a circuit, heads
to ablate, prompts to look at heads on. Everything is in the words of headspark's API.
"""

GRIDS = {"left": 0.0, "right": 1.0, "midpoint": 0.5}
LENGTHS = [1, 2, 5, 17, 33, 40]
METRICS = ["logit-diff", "prob-diff", "kl", "nll"]
KV_EDGES = ["per-query-head", "grouped"]
MOST_PATCHED = 150  # edges, each a run of its own for every pair


def all_heads(config):
    layers, heads = range(config.num_hidden_layers), range(config.num_attention_heads)
    return [{"layer": layer, "head": head} for layer in layers for head in heads]


def some_head(config, rng):
    """A head to gate, in the layer's own numbers."""
    return rng.choice(all_heads(config)) | {"factor": rng.choice([0.0, 0.5, 1.0, 2.0])}


def make_pair(rng, vocab):
    length = rng.choice(LENGTHS)
    shared = rng.choice([0, length // 2, length - 1])
    clean = [rng.randrange(vocab) for _ in range(length)]
    corrupted = clean[:shared] + [rng.randrange(vocab) for _ in range(length - shared)]
    if corrupted == clean:
        corrupted[-1] = (clean[-1] + 1) % vocab
    answers, right = rng.sample(range(vocab), 4), rng.choice([1, 2, 3])
    continuation = [rng.randrange(vocab) for _ in range(rng.choice([1, 2, 5]))]
    pair = {"clean": clean, "corrupted": corrupted, "continuation": continuation}
    return pair | {"correct": answers[:right], "incorrect": answers[right:]}


def attribution(rng, edges):
    """With gradients that are not all 0: those of KL are, at the clean run. `edges`: of the whole graph."""
    metric = rng.choice(METRICS)
    methods = ["eap-ig", "eap-ig", "eap-ig-activations", "clean-corrupted", "information-flow-routes"]
    methods += ["eap"] * (metric != "kl") + ["exact", "exact"] * (edges <= MOST_PATCHED)
    method, grid = rng.choice(methods), rng.choice(list(GRIDS))
    steps = rng.choice([2, 5] if (metric, grid) == ("kl", "right") else [1, 2, 5])
    return {"method": method, "metric": metric, "igSteps": steps, "igGrid": grid, "kvEdges": rng.choice(KV_EDGES)}


def circuit(rng, graph):
    """How it is measured, and its edges, of which some are not in the graph."""
    how = {"metric": rng.choice(METRICS), "excluded": rng.choice(["patch", "patch", "zero", "mean"])}
    how["kvEdges"] = rng.choice(KV_EDGES)
    destinations, share = graph.columns(how["kvEdges"])[-1] + 1, rng.choice([0.1, 0.5, 0.9])
    edges = [[int(rng.random() < share) for _ in range(destinations)] for _ in range(graph.sources)]
    return {"how": how, "edges": edges}


def sweep(rng, config, pairs):
    metric = rng.choice(METRICS)
    several = metric == "nll" and any(len(pair["continuation"]) > 1 for pair in pairs)
    settings = {
        "metric": metric,
        "ablation": rng.choice(["zero", "mean", "mean-per-position", "resample"]),
        "positions": rng.choice(["all", "all", "prompt"] + ["generated"] * several),
    }
    heads = all_heads(config)
    variants = [
        {"name": name, "heads": rng.sample(heads, rng.randrange(1, min(5, len(heads)) + 1)), "factor": factor}
        for name, factor in (("removed", 0.0), ("scaled", rng.choice([0.5, 2.0, -1.0])))
    ]
    return {"settings": settings, "variants": variants}


def head_prompts(rng, vocab):
    """Few different tokens, so that there are copies, and answers of every kind."""
    pool, prompts = rng.sample(range(vocab), 8), []
    for _ in range(rng.choice([1, 2])):
        length = rng.choice(LENGTHS)
        answers = []
        for _ in range(min(length, rng.choice([0, 1, 2]))):
            tokens, right = rng.sample(range(vocab), 3), rng.choice([1, 2])
            answers.append({"correct": tokens[:right], "incorrect": rng.choice([[], tokens[2:]])})
        prompts.append({"tokens": [rng.choice(pool) for _ in range(length)], "answers": answers})
    return {"prompts": prompts, "queries": rng.choice(["all", "all", "answer"])}
