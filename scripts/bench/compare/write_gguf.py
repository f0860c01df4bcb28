# Writes a llama or qwen2 checkpoint as GGUF for llama.cpp: matrices in bf16, norms and biases in
# fp32, a tokenizer in name only (benchmarks
# use token ids). Usage: write_gguf.py FOLDER OUT.gguf
import sys

import gguf
import numpy as np
from checkpoint_file import Checkpoint

LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}


def add_settings(writer, checkpoint):
    config = checkpoint.config
    writer.add_name("random weights")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(checkpoint.head_dim)
    writer.add_value_length(checkpoint.head_dim)
    writer.add_rope_dimension_count(checkpoint.head_dim)
    writer.add_rope_freq_base(checkpoint.rope_theta)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    add_tokenizer(writer, config["vocab_size"])


def add_tokenizer(writer, vocab):
    """A tokenizer in name only, because llama.cpp will not load without: specials, bytes, fillers."""
    kinds = gguf.TokenType
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.BYTE] * 256
    if vocab < len(tokens):
        raise SystemExit(f"The vocabulary of {vocab} tokens is too small for GGUF; use {len(tokens)}.")
    fillers = vocab - len(tokens)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens + [f"t{index}" for index in range(fillers)])
    writer.add_token_scores([0.0] * vocab)
    writer.add_token_types(types + [kinds.NORMAL] * fillers)


def interleave_rotary(values, heads):
    """llama.cpp rotates neighbours where Hugging Face rotates halves; rows are reordered to match."""
    pairs = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def add_tensor(writer, checkpoint, source, target):
    config = checkpoint.config
    matrix = len(checkpoint.header[source]["shape"]) == 2
    values = checkpoint.bf16_bits(source) if matrix else checkpoint.f32(source)
    if config["model_type"] == "llama":
        for part, heads in (
            ("attn_q", config["num_attention_heads"]),
            ("attn_k", config["num_key_value_heads"]),
        ):
            if part in target and "norm" not in target:
                values = interleave_rotary(values, heads)
    if matrix:
        # gguf wants narrow types as bytes with the row's length in bytes.
        bytes_ = np.ascontiguousarray(values).view(np.uint8)
        writer.add_tensor(target, bytes_, raw_dtype=gguf.GGMLQuantizationType.BF16)
    else:
        writer.add_tensor(target, np.ascontiguousarray(values))


def main():
    folder, out = sys.argv[1:]
    checkpoint = Checkpoint(folder)
    writer = gguf.GGUFWriter(out, checkpoint.config["model_type"])
    add_settings(writer, checkpoint)
    names = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if checkpoint.has("lm_head.weight"):
        names["lm_head.weight"] = "output.weight"
    for layer in range(checkpoint.config["num_hidden_layers"]):
        for source, target in LAYER_NAMES.items():
            ends = [""] if source.endswith("weight") else [".weight", ".bias"]
            for end in ends:
                name = f"model.layers.{layer}.{source}{end}"
                if checkpoint.has(name):
                    names[name] = f"blk.{layer}.{target}{end}"
    for source, target in names.items():
        add_tensor(writer, checkpoint, source, target)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
