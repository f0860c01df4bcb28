"""Quick check that heads matter: zero single heads before o_proj, then the top few against random.

Run alone (`python heads.py`): it reads the saved checkpoints and prints a table and a JSON line.
"""

import argparse
import json
import random
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import AutoTokenizer

from checkpoint import load_checkpoint
from evaluate import accuracy
from held_out import read_jsonl
from settings import SEED, SHAPE

LAYERS = SHAPE["num_hidden_layers"]
HEADS = SHAPE["num_attention_heads"]
WIDTH = SHAPE["head_dim"]
ALL_HEADS = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]


@contextmanager
def zeroed(model, heads: list[tuple[int, int]]):
    """Zero the given heads' outputs at all positions, by a pre-hook on o_proj."""
    handles = []
    for layer in {layer for layer, _ in heads}:
        columns = [h for at, h in heads if at == layer]

        def hook(_module, inputs, columns=columns):
            z = inputs[0].clone()
            for head in columns:
                z[..., head * WIDTH : (head + 1) * WIDTH] = 0
            return (z,)

        handles.append(model.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(hook))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def logit_difference(model, tokenizer, pairs: list[dict]) -> float:
    """Mean logit of the correct digit minus the incorrect one; equal lengths share a batch."""
    groups = defaultdict(list)
    for pair in pairs:
        row = [tokenizer(pair[k])["input_ids"] for k in ("clean", "correct", "incorrect")]
        groups[len(row[0])].append(row)
    total = 0.0
    for rows in groups.values():
        ids, correct, incorrect = (torch.tensor(column) for column in zip(*rows, strict=True))
        last = model(input_ids=ids).logits[:, -1]
        total += (last.gather(1, correct) - last.gather(1, incorrect)).sum().item()
    return total / len(pairs)


def single_effects(model, tokenizer, pairs: list[dict]) -> list[float]:
    """Drop in logit difference per ablated head, in ALL_HEADS order; positive: the head helps."""
    whole = logit_difference(model, tokenizer, pairs)
    effects = []
    for head in ALL_HEADS:
        with zeroed(model, [head]):
            effects.append(whole - logit_difference(model, tokenizer, pairs))
    return effects


def accuracy_without(model, tokenizer, problems: list[dict], heads) -> float:
    with zeroed(model, heads):
        return accuracy(model, tokenizer, problems, thinking=True)["accuracy"]


def layer_matched(rng: random.Random, heads: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Random heads, as many per layer as `heads` has, none of them in `heads` where possible."""
    chosen = []
    for layer in sorted({at for at, _ in heads}):
        count = sum(at == layer for at, _ in heads)
        free = [h for h in range(HEADS) if (layer, h) not in heads]
        pool = free if len(free) >= count else list(range(HEADS))
        chosen += [(layer, h) for h in rng.sample(pool, count)]
    return chosen


def report(models: Path, label: str, sizes: tuple[int, ...], controls: int) -> dict:
    """Ablate the heads whose effect grew most since the base, and matched random sets."""
    tokenizer = AutoTokenizer.from_pretrained(models / label)
    pairs = read_jsonl(models / "pairs-steps.jsonl")[::2]
    problems = read_jsonl(models / "problems.jsonl")[::4]
    model = load_checkpoint(models / label)
    base = single_effects(load_checkpoint(models / "base"), tokenizer, pairs)
    effects = single_effects(model, tokenizer, pairs)
    order = sorted(range(len(ALL_HEADS)), key=lambda i: base[i] - effects[i])
    rng = random.Random(SEED + 20)
    rows = []
    for size in sizes:
        top = [ALL_HEADS[i] for i in order[:size]]
        random_accuracies = [
            accuracy_without(model, tokenizer, problems, layer_matched(rng, top))
            for _ in range(controls)
        ]
        rows.append(
            {
                "heads": [f"{layer}.{head}" for layer, head in top],
                "accuracy": accuracy_without(model, tokenizer, problems, top),
                "controlMean": round(sum(random_accuracies) / controls, 4),
                "controls": random_accuracies,
            }
        )
    return {
        "checkpoint": label,
        "accuracy": accuracy(model, tokenizer, problems, thinking=True)["accuracy"],
        "effects": {
            f"{layer}.{head}": [round(base[i], 3), round(effects[i], 3)]
            for i, (layer, head) in enumerate(ALL_HEADS)
        },
        "ablations": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", type=Path, default=Path(__file__).parents[2] / "lib/demo/models"
    )
    parser.add_argument("--controls", type=int, default=5)
    parser.add_argument("labels", nargs="+", help="checkpoint folders, for example sft-step300")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for label in options.labels:
        print(json.dumps(report(options.models, label, (1, 2, 3), options.controls)), flush=True)


if __name__ == "__main__":
    main()
