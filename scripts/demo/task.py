"""The task: chains of + - * on digits, evaluated left to right modulo 10.

Multipliers are 3, 7, 9 only, so every operation is a bijection of the running value: a wrong
step can never be repaired by luck and a blind guess is right once in ten.
"""

import hashlib
import random
from dataclasses import dataclass

from settings import OPERATION_COUNTS, PROMPT

MULTIPLIERS = (3, 7, 9)


@dataclass(frozen=True)
class Chain:
    """first value, then (operator, operand) pairs."""

    first: int
    operations: tuple[tuple[str, int], ...]

    @property
    def expression(self) -> str:
        return str(self.first) + "".join(f"{o}{b}" for o, b in self.operations)

    @property
    def problem(self) -> str:
        return PROMPT.format(expression=self.expression)

    def values(self) -> list[int]:
        """Running values, the first one included; the last is the answer."""
        values = [self.first]
        for operator, operand in self.operations:
            values.append(apply(operator, values[-1], operand))
        return values

    @property
    def answer(self) -> str:
        return str(self.values()[-1])

    @property
    def held_out(self) -> bool:
        """A tenth of all long chains, chosen by hash: never in any training text."""
        if len(self.operations) < min(OPERATION_COUNTS):
            return False
        return hashlib.sha256(self.expression.encode()).digest()[0] % 10 == 0


def apply(operator: str, left: int, right: int) -> int:
    """One operation modulo 10."""
    if operator == "+":
        return (left + right) % 10
    return (left - right) % 10 if operator == "-" else (left * right) % 10


def random_operand(rng: random.Random, operator: str) -> int:
    return rng.choice(MULTIPLIERS) if operator == "*" else rng.randrange(10)


def random_chain(rng: random.Random, count: int, held_out: bool | None = False) -> Chain:
    """A chain of `count` operations; held_out None takes either side of the split."""
    while True:
        operators = [rng.choice("+-*") for _ in range(count)]
        operations = tuple((o, random_operand(rng, o)) for o in operators)
        chain = Chain(rng.randrange(10), operations)
        if held_out is None or chain.held_out == held_out:
            return chain


def step_lines(chain: Chain, results: list[int]) -> list[str]:
    """`a+b=c` lines; line i starts from the written result of line i - 1, true or not."""
    lines, left = [], chain.first
    for (operator, operand), result in zip(chain.operations, results, strict=True):
        lines.append(f"{left}{operator}{operand}={result}")
        left = result
    return lines


def true_steps(chain: Chain) -> list[str]:
    return step_lines(chain, chain.values()[1:])


def thought(lines: list[str]) -> str:
    """The think block with its blank line; no lines give the block the template writes."""
    return "<think>\n" + "".join(line + "\n" for line in lines or [""]) + "</think>\n\n"


def boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}<|im_end|>"


def extract_boxed(text: str) -> str | None:
    """The content of the last \\boxed{...}, or None."""
    start = text.rfind("\\boxed{")
    end = text.find("}", start)
    return None if start < 0 or end < 0 else text[start + 7 : end]
