"""Goldens for the engine's own tests: fp32 logits and greedy ids of three demo checkpoints.

Reads lib/demo/models, writes test/fixtures/demo/golden.json; the stored bf16 weights, in fp32.
"""

import argparse
import json
from pathlib import Path

import torch
from transformers import AutoTokenizer

from checkpoint import load_checkpoint
from evaluate import greedy
from held_out import read_jsonl
from settings import GRPO, SFT
from tokenizer import prompt_text

ROOT = Path(__file__).parents[2]
LABELS = ("base", f"sft-step{SFT.checkpoints[-1]}", f"grpo-step{GRPO.checkpoints[-1]}")
PAIR_ROWS = (0, 40, 80)  # one of each chain length
PROBLEM_ROWS = (0, 40, 90, 170, 230)


@torch.no_grad()
def last_logits(model, tokenizer, pairs: list[dict]) -> list[dict]:
    """Prompt ids [T] and the logits [vocabulary] at the last position."""
    rows = []
    for index in PAIR_ROWS:
        ids = tokenizer(pairs[index]["clean"])["input_ids"]
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
        rows.append({"pair": index, "ids": ids, "logits": [float(f"{x:.7g}") for x in logits]})
    return rows


def generations(model, tokenizer, problems: list[dict], thinking: bool) -> list[dict]:
    """Prompt ids and greedily generated ids, end token included."""
    prompts = [prompt_text(tokenizer, problems[i]["problem"], thinking) for i in PROBLEM_ROWS]
    outputs = greedy(model, tokenizer, prompts)
    return [
        {
            "problem": index,
            "thinking": thinking,
            "promptIds": tokenizer(prompt)["input_ids"],
            "newIds": output,
        }
        for index, prompt, output in zip(PROBLEM_ROWS, prompts, outputs, strict=True)
    ]


def golden(models: Path, label: str) -> dict:
    tokenizer = AutoTokenizer.from_pretrained(models / label)
    model = load_checkpoint(models / label)
    problems = read_jsonl(models / "problems.jsonl")
    return {
        "logits": last_logits(model, tokenizer, read_jsonl(models / "pairs-steps.jsonl")),
        "greedy": generations(model, tokenizer, problems, True)
        + generations(model, tokenizer, problems, False),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=ROOT / "lib/demo/models")
    parser.add_argument("--out", type=Path, default=ROOT / "test/fixtures/demo/golden.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = [f'"{label}": {json.dumps(golden(options.models, label))}' for label in LABELS]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    print(f"{options.out}: {options.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
