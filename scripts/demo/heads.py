"""Quick check that heads matter: zero single heads before o_proj, then the top few against random.

Run alone (`python heads.py`): it reads the saved checkpoints and prints a table and a JSON line.
"""

import argparse
import json
import random
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
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


def layer_matched(rng: random.Random, heads: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Random heads, as many per layer as `heads` has, none of them in `heads` where possible."""
    chosen = []
    for layer in sorted({at for at, _ in heads}):
        count = sum(at == layer for at, _ in heads)
        free = [h for h in range(HEADS) if (layer, h) not in heads]
        pool = free if len(free) >= count else list(range(HEADS))
        chosen += [(layer, h) for h in rng.sample(pool, count)]
    return chosen


def any_layer(rng: random.Random, heads: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """As many random heads from the whole model, none of them in `heads`."""
    return rng.sample([head for head in ALL_HEADS if head not in heads], len(heads))


@dataclass(frozen=True)
class Subject:
    """One checkpoint with the problems and pairs it is measured on."""

    model: object
    tokenizer: object
    problems: list[dict]
    pairs: list[dict]

    def measure(self, heads: list[tuple[int, int]]) -> dict:
        """Greedy accuracy with thinking on, and mean logit difference on the pairs."""
        with zeroed(self.model, heads):
            solved = accuracy(self.model, self.tokenizer, self.problems, thinking=True)["accuracy"]
            difference = logit_difference(self.model, self.tokenizer, self.pairs)
        return {"accuracy": solved, "logitDifference": round(difference, 3)}


def ablation_row(subject: Subject, heads: list[tuple[int, int]], controls: int) -> dict:
    """The given heads, and two kinds of random sets of the same size."""
    rng = random.Random(SEED + 20)
    row = {"heads": [f"{layer}.{head}" for layer, head in heads], **subject.measure(heads)}
    for name, draw in (("layerMatched", layer_matched), ("anyLayer", any_layer)):
        sets = [draw(rng, heads) for _ in range(controls)]
        row[name] = [subject.measure(chosen) for chosen in sets]
    return row


def report(models: Path, label: str, sizes: tuple[int, ...], controls: int) -> dict:
    """Ablate the heads whose effect grew most since the base, and random sets."""
    tokenizer = AutoTokenizer.from_pretrained(models / label)
    pairs = read_jsonl(models / "pairs-steps.jsonl")
    problems = read_jsonl(models / "problems.jsonl")[::4]
    subject = Subject(load_checkpoint(models / label), tokenizer, problems, pairs)
    base = single_effects(load_checkpoint(models / "base"), tokenizer, pairs)
    effects = single_effects(subject.model, tokenizer, pairs)
    order = sorted(range(len(ALL_HEADS)), key=lambda i: base[i] - effects[i])
    return {
        "checkpoint": label,
        "whole": subject.measure([]),
        "effects": {
            f"{layer}.{head}": [round(base[i], 3), round(effects[i], 3)]
            for i, (layer, head) in enumerate(ALL_HEADS)
        },
        "ablations": [
            ablation_row(subject, [ALL_HEADS[i] for i in order[:size]], controls) for size in sizes
        ],
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
