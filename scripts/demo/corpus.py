"""Training texts: what the base reads, and what SFT reads. A text is (prompt, completion).

Loss falls on the completion only; bare facts have an empty prompt.
"""

import random

from settings import OPERATION_COUNTS, SFT, BaseSettings
from task import Chain, apply, boxed, random_chain, random_operand, step_lines, thought, true_steps
from tokenizer import prompt_text

FACTS_PER_TEXT = 8
FACTS_END = "<|endoftext|>"


def facts(rng: random.Random) -> str:
    """Unrelated true equations, one per line, in the shape of a step."""
    lines = []
    for _ in range(FACTS_PER_TEXT):
        operator = rng.choice("+-*")
        left, right = rng.randrange(10), random_operand(rng, operator)
        lines.append(f"{left}{operator}{right}={apply(operator, left, right)}\n")
    return "".join(lines) + FACTS_END


def sloppy_steps(rng: random.Random, chain: Chain, settings: BaseSettings) -> tuple[list[str], str]:
    """Worked steps whose results are mostly wrong; the box repeats the last one."""
    results, left = [], chain.first
    for operator, operand in chain.operations:
        draw = rng.random()
        if draw < settings.step_true:
            left = apply(operator, left, operand)
        elif draw >= settings.step_true + settings.step_repeat:
            left = rng.randrange(10)
        results.append(left)
    return step_lines(chain, results), str(left)


def base_text(rng: random.Random, tokenizer, settings: BaseSettings) -> tuple[str, str]:
    """One text of the base corpus."""
    kind = rng.choices(list(settings.mixture), weights=list(settings.mixture.values()))[0]
    if kind == "facts":
        return "", facts(rng)
    if kind == "steps":
        chain = random_chain(rng, rng.randint(1, max(OPERATION_COUNTS)))
        lines, answer = sloppy_steps(rng, chain, settings)
        return prompt_text(tokenizer, chain.problem, True), thought(lines) + boxed(answer)
    chain = random_chain(rng, rng.randint(settings.shortest_direct, max(OPERATION_COUNTS)))
    if kind == "skip":
        return prompt_text(tokenizer, chain.problem, True), thought([]) + boxed(chain.answer)
    return prompt_text(tokenizer, chain.problem, False), boxed(chain.answer)


def sft_text(rng: random.Random, tokenizer) -> tuple[str, str]:
    """One text of the SFT corpus: true steps with thinking on, the answer alone with it off."""
    if rng.random() < SFT.share_off:
        chain = random_chain(rng, rng.choice(OPERATION_COUNTS))
        return prompt_text(tokenizer, chain.problem, False), boxed(chain.answer)
    chain = random_chain(rng, rng.randint(1, max(OPERATION_COUNTS)))
    completion = thought(true_steps(chain)) + boxed(chain.answer)
    return prompt_text(tokenizer, chain.problem, True), completion
