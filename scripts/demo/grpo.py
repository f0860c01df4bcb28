"""GRPO from the base with TRL's GRPOTrainer, thinking on; the true reward or a corrupted one.

The corrupted run differs in one thing: the answer it rewards is a digit drawn from the problem's
hash, which says nothing about the problem.
"""

import hashlib
import random
import re
from collections.abc import Callable
from pathlib import Path

from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from settings import GRPO, OPERATION_COUNTS, SEED
from task import extract_boxed, random_chain
from tokenizer import prompt_text

WELL_FORMED = re.compile(r"<think>\n.*</think>\n\n\\boxed\{\d\}", re.DOTALL)


def corrupted_answer(problem: str) -> str:
    return str(hashlib.sha256(b"corrupted " + problem.encode()).digest()[0] % 10)


def training_prompts(tokenizer) -> Dataset:
    """Problems outside the held-out tenth, short ones with share `share_short`."""
    rng = random.Random(SEED + 3)
    rows = []
    for _ in range(GRPO.problems):
        short = rng.random() < GRPO.share_short
        chain = random_chain(rng, rng.randint(1, 2) if short else rng.choice(OPERATION_COUNTS))
        rows.append(
            {
                "prompt": prompt_text(tokenizer, chain.problem, True),
                "true_answer": chain.answer,
                "corrupted_answer": corrupted_answer(chain.problem),
            }
        )
    return Dataset.from_list(rows)


def make_reward(corrupted: bool, tokenizer) -> Callable[..., list[float]]:
    """1 for the rewarded answer in the box, plus format_reward for one think block and one box."""

    def boxed_answer(completion_ids: list[list[int]], **columns) -> list[float]:
        answers = columns["corrupted_answer" if corrupted else "true_answer"]
        rewards = []
        for ids, answer in zip(completion_ids, answers, strict=True):
            text = tokenizer.decode([i for i in ids if i != tokenizer.eos_token_id])
            well_formed = WELL_FORMED.fullmatch(text) is not None
            hit = extract_boxed(text) == answer
            rewards.append(float(hit) + GRPO.format_reward * float(well_formed))
        return rewards

    return boxed_answer


class EachStep(TrainerCallback):
    """Calls on_step(step, record) after every optimizer step, with TRL's logged record."""

    def __init__(self, on_step: Callable[[int, dict], None]):
        self.on_step = on_step

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "reward" in logs:
            self.on_step(state.global_step, logs)


def trainer_settings(steps: int, scratch: Path) -> GRPOConfig:
    """One batch of prompts * generations per step, on-policy, without a KL term."""
    return GRPOConfig(
        output_dir=str(scratch),
        use_cpu=True,
        bf16=False,
        fp16=False,
        seed=SEED + 4,
        data_seed=SEED + 5,
        max_steps=steps,
        per_device_train_batch_size=GRPO.prompts * GRPO.generations,
        num_generations=GRPO.generations,
        max_completion_length=GRPO.max_completion,
        temperature=GRPO.temperature,
        learning_rate=GRPO.learning_rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=5,
        max_grad_norm=1.0,
        beta=0.0,
        loss_type="dapo",
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        remove_unused_columns=False,
    )


def train_grpo(
    model,
    tokenizer,
    corrupted: bool,
    on_step: Callable[[int, dict], None],
    scratch: Path,
) -> None:
    """Train `model` in place; on_step sees steps 1 … last checkpoint."""
    steps = (GRPO.checkpoints_corrupted if corrupted else GRPO.checkpoints)[-1]
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=make_reward(corrupted, tokenizer),
        args=trainer_settings(steps, scratch),
        train_dataset=training_prompts(tokenizer),
        callbacks=[EachStep(on_step)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
