"""Supervised training, used for the base (from random weights) and for SFT (from the base).

Plain AdamW with warm-up and a cosine to a tenth; on_step is called after each listed step.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Schedule:
    """How long and how fast; weight_decay applies to matrices only."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int
    weight_decay: float = 0.0
    seed: int = 0
    horizon: int | None = None  # the cosine's end, when it lies beyond `steps`


def make_batch(tokenizer, texts: list[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded ids [B, T] and labels [B, T]; -100 where there is no loss."""
    prompts = tokenizer([p for p, _ in texts], add_special_tokens=False)["input_ids"]
    wholes = tokenizer([p + c for p, c in texts], add_special_tokens=False)["input_ids"]
    width = max(map(len, wholes))
    ids = torch.full((len(texts), width), tokenizer.pad_token_id)
    labels = torch.full((len(texts), width), -100)
    for row, (prompt, whole) in enumerate(zip(prompts, wholes, strict=True)):
        ids[row, : len(whole)] = torch.tensor(whole)
        labels[row, len(prompt) : len(whole)] = torch.tensor(whole[len(prompt) :])
    return ids, labels


def learning_rate(schedule: Schedule, step: int) -> float:
    if step < schedule.warmup:
        return schedule.learning_rate * (step + 1) / schedule.warmup
    part = (step - schedule.warmup) / max(1, (schedule.horizon or schedule.steps) - schedule.warmup)
    return schedule.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * part)))


def train(
    model: torch.nn.Module,
    tokenizer,
    make_text: Callable[[random.Random, object], tuple[str, str]],
    schedule: Schedule,
    on_step: Callable[[int, float], None],
) -> None:
    """Train in place. on_step(step, loss) runs after every step, counted from 1."""
    rng = random.Random(schedule.seed)
    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": schedule.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=(0.9, 0.98))
    model.train()
    for step in range(schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(schedule, step)
        ids, labels = make_batch(
            tokenizer, [make_text(rng, tokenizer) for _ in range(schedule.batch)]
        )
        # Padding is on the right and attention is causal: no mask is needed.
        logits = model(input_ids=ids).logits[:, :-1]
        loss = functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        on_step(step + 1, loss.item())
