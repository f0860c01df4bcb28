"""Train the whole demo series and write lib/demo/models. Stages run in order, or one by one.

Every stage starts from the stored bf16 checkpoint before it, so that a stage run alone gives the
same weights.
"""

import argparse
import json
import shutil
import time
from functools import partial
from pathlib import Path

import torch

from checkpoint import build_model, load_checkpoint, save_checkpoint
from corpus import base_text, sft_text
from evaluate import accuracy, pair_accuracy
from held_out import direct_prefix, make_pairs, make_problems, read_jsonl, steps_prefix, write_jsonl
from settings import BASE_FIRST, BASE_SECOND, GRPO, SEED, SFT, BaseSettings
from supervised import Schedule, train
from tokenizer import build_tokenizer

STAGES = ("data", "base-first", "base", "sft", "grpo", "grpo-corrupted", "log")
PRINT_EVERY = 10
DEFAULT_OUT = Path(__file__).parents[2] / "lib/demo/models"


class Printer:
    """Running means on stdout every PRINT_EVERY steps, with the time."""

    def __init__(self, name: str):
        self.name, self.values, self.start = name, [], time.time()

    def __call__(self, step: int, value: float) -> None:
        self.values.append(value)
        if step % PRINT_EVERY == 0:
            mean = sum(self.values[-PRINT_EVERY:]) / PRINT_EVERY
            print(f"{self.name} {step}: {mean:.4f} ({time.time() - self.start:.0f} s)", flush=True)


def write_data(tokenizer, out: Path) -> None:
    write_jsonl(out / "problems.jsonl", make_problems())
    write_jsonl(out / "pairs-steps.jsonl", make_pairs(tokenizer, steps_prefix))
    write_jsonl(out / "pairs-direct.jsonl", make_pairs(tokenizer, direct_prefix))


def run_base(tokenizer, model, settings: BaseSettings) -> None:
    """Train `model` in place on the base corpus."""
    schedule = Schedule(
        steps=settings.steps,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
        warmup=settings.warmup,
        weight_decay=settings.weight_decay,
        seed=settings.seed,
        horizon=settings.horizon,
    )
    make_text = partial(base_text, settings=settings)
    train(model, tokenizer, make_text, schedule, Printer("base loss"))


def run_base_first(tokenizer, out: Path) -> None:
    model = build_model(tokenizer)
    run_base(tokenizer, model, BASE_FIRST)
    save_checkpoint(model, tokenizer, out / f"base-step{BASE_FIRST.steps}")


def run_base_second(tokenizer, out: Path) -> None:
    model = load_checkpoint(out / f"base-step{BASE_FIRST.steps}")
    run_base(tokenizer, model, BASE_SECOND)
    save_checkpoint(model, tokenizer, out / "base")


def run_sft(tokenizer, out: Path) -> None:
    model, printer = load_checkpoint(out / "base"), Printer("sft loss")

    def on_step(step: int, loss: float) -> None:
        printer(step, loss)
        if step in SFT.checkpoints:
            save_checkpoint(model, tokenizer, out / f"sft-step{step}")

    schedule = Schedule(
        steps=SFT.checkpoints[-1],
        batch=SFT.batch,
        learning_rate=SFT.learning_rate,
        warmup=SFT.warmup,
        seed=SEED + 1,
    )
    train(model, tokenizer, sft_text, schedule, on_step)


def write_curve(path: Path, regime: str, curve: list[dict]) -> None:
    """Put one regime's curve into the file, beside the other regimes'."""
    curves = json.loads(path.read_text()) if path.exists() else {}
    curves[regime] = curve
    path.write_text(json.dumps(dict(sorted(curves.items()))) + "\n")


def run_grpo(tokenizer, out: Path, regime: str) -> None:
    from grpo import train_grpo  # trl takes seconds to import; other stages do without it

    corrupted = regime == "grpo-corrupted"
    wanted = GRPO.checkpoints_corrupted if corrupted else GRPO.checkpoints
    model, printer, curve = load_checkpoint(out / "base"), Printer(f"{regime} reward"), []

    def on_step(step: int, record: dict) -> None:
        printer(step, record["reward"])
        curve.append(
            {
                "step": step,
                "reward": round(record["reward"], 4),
                "meanTokens": round(record["completions/mean_length"], 2),
            }
        )
        if step in wanted:
            save_checkpoint(model, tokenizer, out / f"{regime}-step{step}")
            write_curve(out / "reward-log.json", regime, curve)

    scratch = out / ".scratch"
    train_grpo(model, tokenizer, corrupted, on_step, scratch)
    shutil.rmtree(scratch, ignore_errors=True)


def labels() -> list[tuple[str, str, int]]:
    """(label, regime, step) of every checkpoint; the final base has the last base step."""
    first = BASE_FIRST.steps
    rows = [(f"base-step{first}", "base", first), ("base", "base", first + BASE_SECOND.steps)]
    series = {
        "sft": SFT.checkpoints,
        "grpo": GRPO.checkpoints,
        "grpo-corrupted": GRPO.checkpoints_corrupted,
    }
    return rows + [(f"{name}-step{s}", name, s) for name, steps in series.items() for s in steps]


def training_reward(curves: dict, regime: str, step: int) -> float | None:
    """Mean reward of the ten steps up to `step`: one step alone is 8 problems."""
    recent = [r["reward"] for r in curves.get(regime, []) if step - 10 < r["step"] <= step]
    return round(sum(recent) / len(recent), 4) if recent else None


def write_log(tokenizer, out: Path) -> None:
    problems = read_jsonl(out / "problems.jsonl")
    pairs = {name: read_jsonl(out / f"pairs-{name}.jsonl") for name in ("steps", "direct")}
    curves = json.loads((out / "reward-log.json").read_text())
    rows = []
    for label, regime, step in labels():
        model = load_checkpoint(out / label)
        row = {"label": label, "regime": regime, "step": step}
        reward = training_reward(curves, regime, step)
        if reward is not None:
            row["reward"] = reward
        row["thinkingOn"] = accuracy(model, tokenizer, problems, thinking=True)
        row["thinkingOff"] = accuracy(model, tokenizer, problems, thinking=False)
        row["pairAccuracy"] = {k: pair_accuracy(model, tokenizer, v) for k, v in pairs.items()}
        rows.append(row)
        print(json.dumps(row), flush=True)
    text = ",\n".join("    " + json.dumps(row) for row in rows)
    (out / "log.json").write_text(f'{{\n  "checkpoints": [\n{text}\n  ]\n}}\n')


def total_bytes(out: Path) -> int:
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    run = {
        "data": lambda: write_data(tokenizer, options.out),
        "base-first": lambda: run_base_first(tokenizer, options.out),
        "base": lambda: run_base_second(tokenizer, options.out),
        "sft": lambda: run_sft(tokenizer, options.out),
        "grpo": lambda: run_grpo(tokenizer, options.out, "grpo"),
        "grpo-corrupted": lambda: run_grpo(tokenizer, options.out, "grpo-corrupted"),
        "log": lambda: write_log(tokenizer, options.out),
    }
    for stage in STAGES:
        if stage in options.stages:
            start = time.time()
            run[stage]()
            print(f"stage {stage}: {time.time() - start:.0f} s", flush=True)
    print(f"{options.out}: {total_bytes(options.out) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
