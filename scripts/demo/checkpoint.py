"""Build, save and load checkpoints: bf16 Hugging Face folders, always computed in fp32."""

from copy import deepcopy
from pathlib import Path

import torch
from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

from settings import ROPE_THETA, SEED, SHAPE
from tokenizer import save_tokenizer


def build_model(tokenizer) -> Qwen3ForCausalLM:
    """A freshly initialised model in fp32."""
    torch.manual_seed(SEED)
    config = Qwen3Config(
        **SHAPE,
        vocab_size=len(tokenizer),
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.05,
    )
    return Qwen3ForCausalLM(config)


def save_checkpoint(model: Qwen3ForCausalLM, tokenizer, folder: Path) -> None:
    """Write the folder without disturbing the fp32 model that training goes on with."""
    config = deepcopy(model.config)
    config.use_cache = True  # the GRPO trainer switches it off
    copy = Qwen3ForCausalLM(config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.bfloat16)
    copy.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )
    copy.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    for path in folder.iterdir():
        path.chmod(0o644)  # transformers leaves weights readable by their owner alone


def load_checkpoint(folder: Path) -> Qwen3ForCausalLM:
    """The stored bf16 weights, computed in fp32."""
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval()
