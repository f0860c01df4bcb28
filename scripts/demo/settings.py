"""Every number of the demo series in one place: shape, data mixture, steps, seeds.

Change one and run main.py again; nothing else holds a constant of the experiment.
"""

from dataclasses import dataclass

SEED = 20260
PROMPT = "Compute left to right, mod 10: {expression}"
OPERATION_COUNTS = (3, 4, 5)  # held-out problems and pairs; training also sees 1 and 2

SHAPE = {
    "hidden_size": 96,
    "intermediate_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "rms_norm_eps": 1e-6,
}
ROPE_THETA = 10000.0


@dataclass(frozen=True)
class BaseSettings:
    """One part of the base's training: kinds of text with their shares, and how sloppy they are.

    facts: bare equations, all true. direct: thinking off. skip: thinking on, but empty.
    steps: thinking on, a line per step, most of the results wrong.
    """

    steps: int
    horizon: int  # the step at which the cosine would end
    batch: int
    learning_rate: float
    warmup: int
    seed: int
    mixture: dict[str, float]
    shortest_direct: int  # fewest operations in direct and skip texts
    # Result of a step: true, or the left operand repeated (more often, so that greedy decoding
    # repeats it), or any digit. The true share is what gives GRPO something to reinforce.
    step_true: float
    step_repeat: float
    weight_decay: float = 0.05


@dataclass(frozen=True)
class SftSettings:
    """Supervised fine-tuning from the base on true worked steps (and direct answers, off)."""

    batch: int = 32
    learning_rate: float = 2e-4
    warmup: int = 10
    checkpoints: tuple[int, ...] = (10, 25, 60, 120)
    share_off: float = 0.2


@dataclass(frozen=True)
class GrpoSettings:
    """GRPO from the base: reward 1 for the right box, a little for one well-formed answer."""

    prompts: int = 8
    problems: int = 960  # training problems in all; a longer run goes round again
    generations: int = 12
    learning_rate: float = 5e-4
    temperature: float = 1.0
    max_completion: int = 40  # five steps and the box need 39
    format_reward: float = 0.1
    checkpoints: tuple[int, ...] = (10, 25, 50, 80, 120)
    checkpoints_corrupted: tuple[int, ...] = (10, 25, 50, 80)
    share_short: float = 0.5  # prompts of one or two operations, the easy end of the curriculum


BASE_FIRST = BaseSettings(
    steps=1200,
    horizon=2400,
    batch=64,
    learning_rate=3e-3,
    warmup=100,
    seed=SEED,
    mixture={"facts": 0.15, "direct": 0.20, "skip": 0.35, "steps": 0.30},
    shortest_direct=1,
    step_true=0.40,
    step_repeat=0.52,
)
# Long chains only in direct and skip texts: a short one answered at once would be right often
# enough to make GRPO prefer the empty think block. Sloppier steps, so that the base's greedy
# choice is wrong by a clear margin.
BASE_SECOND = BaseSettings(
    steps=300,
    horizon=300,
    batch=32,
    learning_rate=1.5e-3,
    warmup=20,
    seed=SEED + 2,
    mixture={"facts": 0.15, "direct": 0.15, "skip": 0.30, "steps": 0.40},
    shortest_direct=3,
    step_true=0.32,
    step_repeat=0.60,
)
SFT = SftSettings()
GRPO = GrpoSettings()
