"""Writes checkpoints of random configurations, some with a LoRA adapter, and what torch computes from
them, in fp64, in fp32, and in fp64 from weights that are off by fp32's rounding: logits by transformers
(adapters merged by peft), scores of edges and the metric of a circuit by edge_graph.py and
patched_edges.py, ablated heads by gated_heads.py, what heads do by head_values.py; and the tokens that
follow greedily where a head is scaled. main.mjs calls it: python make.py FOLDER COUNT SEED.
"""

import json
import random
import sys
from pathlib import Path

import peft
import tasks
import torch
import transformers as hf
from configurations import configuration

sys.path.append(str(Path(__file__).parents[2] / "fixtures"))
from fp64 import in_fp64  # noqa: E402
from gated_heads import GatedModel, scaling  # noqa: E402
from head_values import HeadValues  # noqa: E402
from patched_edges import PatchedEdges  # noqa: E402

FP32_ROUNDING = 2.0**-24
LINEAR = (torch.nn.Linear, hf.pytorch_utils.Conv1D)
NEW_TOKENS = 20


def fill(model, rng):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            norm = "norm" in name or ".ln_" in name
            size = 0.3 if norm else rng.choice([0.05, 0.2, 0.5])
            gain = norm and name.endswith("weight") and model.config.model_type != "gemma3_text"
            parameter.copy_(size * torch.randn_like(parameter) + gain)


def save_adapter(folder, rng):
    """A LoRA adapter of some projections, with ranks and alphas of their own for some."""
    model = hf.AutoModelForCausalLM.from_pretrained(folder)
    linear = [name for name, module in model.named_modules() if isinstance(module, LINEAR)]
    kinds = sorted({name.split(".")[-1] for name in linear} - {"lm_head", "embed_out"})
    targets = rng.sample(kinds, rng.randrange(1, len(kinds) + 1))
    ranks = {name: rng.choice([2, 5]) for name in targets if rng.random() < 0.3}
    alphas = {name: rng.choice([1, 9]) for name in targets if rng.random() < 0.3}
    config = peft.LoraConfig(
        r=rng.choice([1, 3, 8]),
        lora_alpha=rng.choice([1, 4, 16]),
        target_modules=targets,
        rank_pattern=ranks,
        alpha_pattern=alphas,
        use_rslora=rng.random() < 0.3,
        fan_in_fan_out=model.config.model_type == "gpt2",
        task_type="CAUSAL_LM",
    )
    if rng.random() < 0.3:
        config.layers_to_transform = [rng.randrange(model.config.num_hidden_layers)]
    with_adapter = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in with_adapter.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.2 * torch.randn_like(parameter))
    with_adapter.save_pretrained(folder / "adapter")


def load(folder, dtype):
    torch.set_default_dtype(dtype)
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    if (folder / "adapter").exists():
        model = peft.PeftModel.from_pretrained(model, folder / "adapter").to(dtype).merge_and_unload()
    return in_fp64(model.eval()) if dtype == torch.float64 else model.eval()


def greedy(model, prompt, head):
    """New tokens, without a cache, and how far the second logit was below, of the largest size."""
    gates = GatedModel(model)
    tokens, margins = [], []
    for _ in range(NEW_TOKENS):
        logits = gates.run(prompt + tokens, scaling(head))[-1]
        best = logits.topk(2)
        tokens.append(best.indices[0].item())
        margins.append(((best.values[0] - best.values[1]) / logits.abs().max()).item())
    return {"prompt": prompt, "heads": [head], "tokens": tokens, "margins": margins}


def values(folder, dtype, task, noise=0.0):
    """With `noise`, of weights that are off by so much of themselves."""
    model = load(folder, dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + noise * torch.randn_like(parameter))
    pairs, swept, looked = task["pairs"], task["sweep"], task["heads"]
    graph = PatchedEdges(model)
    with torch.no_grad():
        logits = [model(torch.tensor([pair["clean"]])).logits[0, -1] for pair in pairs]
    ablated, right = GatedModel(model).sweep(pairs, swept["variants"], swept["settings"])
    return {
        "logits": torch.cat(logits).tolist(),
        "scores": scores(graph, pairs, task["attribution"]).flatten().tolist(),
        "circuit": graph.circuits(pairs, task["circuit"]["edges"], task["circuit"]["how"]),
        "ablation": ablated,
        "right": right,
        "heads": HeadValues(model).values(looked["prompts"], looked["queries"]),
    }


def scores(graph, pairs, chosen):
    method, metric, kv_edges = chosen["method"], chosen["metric"], chosen["kvEdges"]
    steps, begin = chosen["igSteps"], tasks.GRIDS[chosen["igGrid"]]
    if method == "exact":
        found = [graph.exact(pair, metric, kv_edges) for pair in pairs]
    elif method == "information-flow-routes":
        found = [graph.flow(pair, metric, kv_edges) for pair in pairs]
    else:
        shares = [(k + begin) / steps for k in range(steps)]
        found = [graph.fold(graph.scores(pair, method, metric, shares), kv_edges) for pair in pairs]
    return sum(found) / len(found)


def make(folder, seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float32)
    config = configuration(rng)
    model = hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    fill(model, rng)
    stored = rng.choice([torch.float32, torch.float16, torch.bfloat16])
    model.to(stored).save_pretrained(folder, max_shard_size=rng.choice(["20KB", "5GB"]))
    if rng.random() < 0.4:
        save_adapter(folder, rng)
    graph = PatchedEdges(model.float())
    pairs = [tasks.make_pair(rng, config.vocab_size) for _ in range(rng.choice([1, 3]))]
    task = {
        "pairs": pairs,
        "attribution": tasks.attribution(rng, sum(graph.reads())),
        "circuit": tasks.circuit(rng, graph),
        "sweep": tasks.sweep(rng, config, pairs),
        "heads": tasks.head_prompts(rng, config.vocab_size),
    }
    expected = {
        "fp64": values(folder, torch.float64, task),
        "fp32": values(folder, torch.float32, task),
        "shaken": values(folder, torch.float64, task, FP32_ROUNDING),
    }
    exact = load(folder, torch.float64)
    rows = [greedy(exact, pair["clean"], tasks.some_head(config, rng)) for pair in task["pairs"]]
    (folder / "expected.json").write_text(json.dumps(task | expected | {"greedy": rows}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    hf.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    out, count, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for seed in range(first, first + count):
        make(out / str(seed), seed)
        print(seed - first + 1, flush=True)
