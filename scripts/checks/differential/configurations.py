"""Random configurations of every architecture that headspark reads, small enough for autograd."""

import transformers as hf

HEADS = [1, 2, 3, 4, 6, 8]
HEAD_DIMS = [2, 4, 6, 8, 10, 16, 20, 24, 32, 40, 64, 80, 96, 128]
ACTIVATIONS = ["silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
WINDOWS = [1, 3, 16, 39, 40]
KINDS = ["qwen2", "qwen3", "llama", "mistral", "gpt2", "gpt_neox"]
NEWER = ["smollm3", "phi3", "olmo2", "olmo3", "gemma3", "granite"]


def rotary(rng):
    kind = rng.choice(["default", "linear", "llama3", "yarn"])
    parameters = {"rope_type": kind, "rope_theta": rng.choice([1e3, 1e4, 5e5])}
    if kind != "default":
        parameters["factor"] = rng.choice([2.0, 4.0, 8.0])
    if kind == "llama3":
        parameters |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    if kind in ("llama3", "yarn"):
        parameters["original_max_position_embeddings"] = rng.choice([16, 32])
    if kind == "yarn" and rng.random() < 0.5:
        parameters |= {"attention_factor": rng.choice([0.7, 1.3]), "beta_fast": 4.0, "truncate": False}
    return parameters


def phi3_rotary(rng, width):
    """LongRoPE up to the original positions: beyond them transformers takes other factors."""
    share = rng.choice([0.5, 1.0]) if width % 4 == 0 else 1.0
    parameters = {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": share}
    if rng.random() < 0.6:
        parameters["rope_type"] = "longrope"
        for factors in ("short_factor", "long_factor"):
            parameters[factors] = [rng.choice([1.0, 1.3, 4.0]) for _ in range(int(width * share) // 2)]
    return parameters


def layer_types(rng, layers):
    return [rng.choice(["sliding_attention", "full_attention"]) for _ in range(layers)]


def newer_configuration(kind, common, rng):
    """Of models whose layers differ, or whose norms or matrices are not Llama's."""
    layers, width = common["num_hidden_layers"], common["hidden_size"] // common["num_attention_heads"]
    common |= {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": None}
    if kind == "phi3":
        long = {"max_position_embeddings": 256, "original_max_position_embeddings": 64}
        own = {"rope_parameters": phi3_rotary(rng, width), "sliding_window": rng.choice([None, *WINDOWS])}
        return hf.Phi3Config(**common | long | own)
    if kind == "smollm3":
        own = {"no_rope_layers": [rng.choice([0, 1]) for _ in range(layers)], "mlp_bias": rng.random() < 0.3}
        if rng.random() < 0.5:
            windows = {"use_sliding_window": True, "sliding_window": rng.choice(WINDOWS)}
            own |= windows | {"layer_types": layer_types(rng, layers)}
        return hf.SmolLM3Config(**common | own)
    if kind == "olmo2":
        return hf.Olmo2Config(**common)
    if kind == "granite":
        own = {"embedding_multiplier": rng.choice([1.0, 12.0]), "residual_multiplier": rng.choice([1.0, 0.22])}
        own |= {"attention_multiplier": rng.choice([0.015625, 0.3]), "logits_scaling": rng.choice([1.0, 6.5, 8.0])}
        return hf.GraniteConfig(**common | own, mlp_bias=rng.random() < 0.3)
    if kind == "gemma3":
        return gemma3_configuration(common, rng)
    rotary = common.pop("rope_parameters")
    rotary.pop("truncate", None)  # transformers 5.18 looks for it outside of the layers' types
    plain = {"rope_type": "default", "rope_theta": rotary["rope_theta"]}
    common["rope_parameters"] = {"full_attention": rotary, "sliding_attention": plain}
    return hf.Olmo3Config(**common, sliding_window=rng.choice(WINDOWS), layer_types=layer_types(rng, layers))


def gemma3_configuration(common, rng):
    rotary, layers = common.pop("rope_parameters"), common["num_hidden_layers"]
    rotary.pop("truncate", None)
    common["hidden_activation"] = common.pop("hidden_act")
    common["rope_parameters"] = {
        "full_attention": rotary,
        "sliding_attention": {"rope_type": "default", "rope_theta": rng.choice([100.0, 1e4])},
    }
    own = {"head_dim": rng.choice([*HEAD_DIMS, 256]), "query_pre_attn_scalar": rng.choice([24, 168, 256])}
    own |= {"sliding_window": rng.choice(WINDOWS), "layer_types": layer_types(rng, layers)}
    return hf.Gemma3TextConfig(**common | own)


def some_windows(rng, layers):
    """Of Qwen: in all layers from one on."""
    if rng.random() < 0.5:
        return {}
    first = {"max_window_layers": rng.randrange(layers)}
    return {"use_sliding_window": True, "sliding_window": rng.choice(WINDOWS)} | first


def configuration(rng):
    kind = rng.choice(KINDS + NEWER)
    heads, width = rng.choice(HEADS), rng.choice(HEAD_DIMS)
    common = {
        "vocab_size": rng.choice([11, 50, 97, 259]),
        "num_hidden_layers": rng.choice([1, 2, 3]),
        "hidden_size": heads * width,
        "intermediate_size": rng.choice([1, 7, 16, 33, 64, 130]),
        "num_attention_heads": heads,
        "max_position_embeddings": 64,
        "tie_word_embeddings": rng.random() < 0.4,
    }
    if kind == "gpt2":
        names = {"num_hidden_layers": "n_layer", "hidden_size": "n_embd", "intermediate_size": "n_inner"}
        names |= {"num_attention_heads": "n_head", "max_position_embeddings": "n_positions"}
        own = {names.get(key, key): value for key, value in common.items()}
        own |= {"activation_function": rng.choice(ACTIVATIONS), "scale_attn_weights": rng.random() < 0.8}
        return hf.GPT2Config(**own, bos_token_id=0, eos_token_id=0)
    common |= {"hidden_act": rng.choice(ACTIVATIONS), "rope_parameters": rotary(rng)}
    if kind == "gpt_neox":
        if common["rope_parameters"]["rope_type"] != "yarn" and width % 4 == 0:
            common["rope_parameters"]["partial_rotary_factor"] = 0.5
        else:
            common["rope_parameters"]["partial_rotary_factor"] = 1.0
        common |= {"use_parallel_residual": rng.random() < 0.6, "attention_bias": rng.random() < 0.7}
        return hf.GPTNeoXConfig(**common, bos_token_id=0, eos_token_id=0)
    common["num_key_value_heads"] = rng.choice([k for k in range(1, heads + 1) if heads % k == 0])
    if kind in NEWER:
        return newer_configuration(kind, common, rng)
    layers = common["num_hidden_layers"]
    if kind == "qwen2":
        return hf.Qwen2Config(**common, **some_windows(rng, layers))
    if kind == "mistral":
        return hf.MistralConfig(**common, head_dim=width, sliding_window=rng.choice([None, *WINDOWS]))
    common |= {"head_dim": width, "attention_bias": rng.random() < 0.3}
    if kind == "qwen3":
        windows = some_windows(rng, layers)
        return hf.Qwen3Config(**common | windows | {"hidden_size": rng.choice([16, 50, 72])})
    return hf.LlamaConfig(**common, mlp_bias=rng.random() < 0.3)
