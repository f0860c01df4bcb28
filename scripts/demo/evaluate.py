"""Greedy accuracy on held-out problems and argmax accuracy on pairs."""

from collections import defaultdict

import torch

from task import extract_boxed
from tokenizer import prompt_text

MAX_NEW_TOKENS = 64


@torch.no_grad()
def greedy(model, tokenizer, prompts: list[str]) -> list[list[int]]:
    """New token ids per prompt, the end token included. Equal lengths share a batch: no padding."""
    groups = defaultdict(list)
    for index, prompt in enumerate(prompts):
        groups[len(tokenizer(prompt, add_special_tokens=False)["input_ids"])].append(index)
    results: list[list[int]] = [[] for _ in prompts]
    for indices in groups.values():
        texts = [prompts[i] for i in indices]
        ids = tokenizer(texts, add_special_tokens=False, return_tensors="pt")["input_ids"]
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=MAX_NEW_TOKENS,
        )
        for index, row in zip(indices, output[:, ids.shape[1] :].tolist(), strict=True):
            end = row.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in row else None
            results[index] = row[:end]
    return results


def accuracy(model, tokenizer, problems: list[dict], thinking: bool) -> dict:
    """Greedy accuracy, mean generated tokens and accuracy per number of operations."""
    prompts = [prompt_text(tokenizer, p["problem"], thinking) for p in problems]
    generated = greedy(model, tokenizer, prompts)
    right = [
        extract_boxed(tokenizer.decode(ids)) == problem["answer"]
        for ids, problem in zip(generated, problems, strict=True)
    ]
    by_count = defaultdict(list)
    for hit, problem in zip(right, problems, strict=True):
        by_count[sum(problem["problem"].count(o) for o in "+-*")].append(hit)
    per_count = {str(k): round(sum(v) / len(v), 4) for k, v in sorted(by_count.items())}
    return {
        "accuracy": round(sum(right) / len(right), 4),
        "meanTokens": round(sum(map(len, generated)) / len(generated), 2),
        "accuracyByOperations": per_count,
    }


@torch.no_grad()
def pair_accuracy(model, tokenizer, pairs: list[dict]) -> float:
    """Share of pairs whose clean side's argmax is the correct token."""
    hits = 0
    for pair in pairs:
        ids = tokenizer(pair["clean"], add_special_tokens=False, return_tensors="pt")["input_ids"]
        target = tokenizer(pair["correct"], add_special_tokens=False)["input_ids"]
        hits += int(model(input_ids=ids).logits[0, -1].argmax().item() == target[0])
    return round(hits / len(pairs), 4)
