"""Held-out problems and attribution pairs, all from the tenth of chains no training text uses."""

import json
import random
from pathlib import Path

from settings import OPERATION_COUNTS, SEED
from task import Chain, random_chain, random_operand, thought, true_steps
from tokenizer import prompt_text

PROBLEMS_PER_COUNT = 80
PAIRS_PER_COUNT = 32
BOX = "\\boxed{"


def make_problems() -> list[dict]:
    """Distinct problems with their answers."""
    rng = random.Random(SEED + 10)
    problems: dict[str, dict] = {}
    for count in OPERATION_COUNTS:
        goal = len(problems) + PROBLEMS_PER_COUNT
        while len(problems) < goal:
            chain = random_chain(rng, count, held_out=True)
            problems[chain.expression] = {"problem": chain.problem, "answer": chain.answer}
    return list(problems.values())


def sibling(rng: random.Random, chain: Chain) -> Chain:
    """Held-out chain with the same operators, other numbers throughout and another answer."""
    while True:
        operations = tuple((o, random_operand(rng, o)) for o, _ in chain.operations)
        other = Chain(rng.randrange(10), operations)
        if other.held_out and other.answer != chain.answer and other.first != chain.first:
            return other


def steps_prefix(tokenizer, chain: Chain) -> str:
    """Thinking on, every step written out, cut right before the last step's result."""
    written = thought(true_steps(chain)).split("\n</think>")[0]
    return (prompt_text(tokenizer, chain.problem, True) + written)[:-1]


def direct_prefix(tokenizer, chain: Chain) -> str:
    """Thinking off, cut right before the digit in the box."""
    return prompt_text(tokenizer, chain.problem, False) + BOX


def informative(chain: Chain) -> bool:
    """The last step changes the value, so that repeating the left operand is wrong there."""
    values = chain.values()
    return values[-1] != values[-2] and values[-1] != chain.operations[-1][1]


def make_pairs(tokenizer, prefix) -> list[dict]:
    """Clean and corrupted prefixes of equal token length with their digit targets."""
    rng = random.Random(SEED + 11)
    pairs = []
    for count in OPERATION_COUNTS:
        goal = len(pairs) + PAIRS_PER_COUNT
        while len(pairs) < goal:
            clean = random_chain(rng, count, held_out=True)
            if not informative(clean):
                continue
            corrupted = sibling(rng, clean)
            pair = {"clean": prefix(tokenizer, clean), "corrupted": prefix(tokenizer, corrupted)}
            lengths = {len(tokenizer(text)["input_ids"]) for text in pair.values()}
            assert len(lengths) == 1, "digits and signs are single tokens, so lengths are equal"
            pairs.append({**pair, "correct": clean.answer, "incorrect": corrupted.answer})
    return pairs


def write_jsonl(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
