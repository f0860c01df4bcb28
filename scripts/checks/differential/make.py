"""Writes checkpoints of random configurations and what torch computes from them, in fp64, in fp32 and in
fp64 from weights that are off by fp32's rounding, some with a LoRA adapter merged by peft; tokens that
follow, with a head scaled: logits by transformers, scores of edges and the metric of a circuit by edge_graph.py. main.mjs calls
it: python make.py FOLDER COUNT SEED.
"""

import json
import random
import sys
from pathlib import Path

import peft
import torch
import transformers as hf

sys.path.append(str(Path(__file__).parents[2] / "fixtures"))
from edge_graph import EdgeGraph  # noqa: E402

HEADS = [1, 2, 3, 4, 6, 8]
HEAD_DIMS = [2, 4, 6, 8, 10, 16, 20, 24, 32, 40, 64, 80, 96, 128]
ACTIVATIONS = ["silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "relu"]
FP32_ROUNDING = 2.0**-24
LENGTHS = [1, 2, 5, 17, 33, 40]
WINDOWS = [1, 3, 16, 39, 40]
LINEAR = (torch.nn.Linear, hf.pytorch_utils.Conv1D)
NEW_TOKENS = 20
OUTPUT_PROJECTIONS = ("self_attn.o_proj", "attention.dense", "attn.c_proj")
KINDS = ["qwen2", "qwen3", "llama", "mistral", "gpt2", "gpt_neox", "smollm3", "phi3", "olmo2", "olmo3"]


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
    rotary = common.pop("rope_parameters")
    rotary.pop("truncate", None)  # transformers 5.18 looks for it outside of the layers' types
    plain = {"rope_type": "default", "rope_theta": rotary["rope_theta"]}
    common["rope_parameters"] = {"full_attention": rotary, "sliding_attention": plain}
    return hf.Olmo3Config(**common, sliding_window=rng.choice(WINDOWS), layer_types=layer_types(rng, layers))


def some_windows(rng, layers):
    """Of Qwen: in all layers from one on."""
    if rng.random() < 0.5:
        return {}
    first = {"max_window_layers": rng.randrange(layers)}
    return {"use_sliding_window": True, "sliding_window": rng.choice(WINDOWS)} | first


def configuration(rng):
    kind = rng.choice(KINDS)
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
    if kind in ("phi3", "smollm3", "olmo2", "olmo3"):
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


def fill(model, rng):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            norm = "norm" in name or ".ln_" in name
            size = 0.3 if norm else rng.choice([0.05, 0.2, 0.5])
            parameter.copy_(size * torch.randn_like(parameter) + (norm and name.endswith("weight")))


def save_adapter(folder, rng):
    """A LoRA adapter of some projections, with ranks and alphas of their own for some."""
    model = hf.AutoModelForCausalLM.from_pretrained(folder)
    linear = [name for name, module in model.named_modules() if isinstance(module, LINEAR)]
    kinds = sorted({name.split(".")[-1] for name in linear} - {"lm_head", "embed_out"})
    targets = rng.sample(kinds, rng.randrange(1, len(kinds) + 1))
    ranks = {name: rng.choice([2, 5]) for name in targets if rng.random() < 0.3}
    alphas = {name: rng.choice([1, 9]) for name in targets if rng.random() < 0.3}
    config = peft.LoraConfig(
        r=rng.choice([1, 3, 8]),
        lora_alpha=rng.choice([1, 4, 16]),
        target_modules=targets,
        rank_pattern=ranks,
        alpha_pattern=alphas,
        use_rslora=rng.random() < 0.3,
        fan_in_fan_out=model.config.model_type == "gpt2",
        task_type="CAUSAL_LM",
    )
    if rng.random() < 0.3:
        config.layers_to_transform = [rng.randrange(model.config.num_hidden_layers)]
    with_adapter = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in with_adapter.named_parameters():
            if "lora_" in name:
                parameter.copy_(0.2 * torch.randn_like(parameter))
    with_adapter.save_pretrained(folder / "adapter")


def load(folder, dtype):
    model = hf.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    if (folder / "adapter").exists():
        model = peft.PeftModel.from_pretrained(model, folder / "adapter").to(dtype).merge_and_unload()
    return model.eval()


def some_head(config, rng):
    """A head to gate, in the layer's own numbers."""
    layer, head = rng.randrange(config.num_hidden_layers), rng.randrange(config.num_attention_heads)
    return {"layer": layer, "head": head, "factor": rng.choice([0.0, 0.5, 1.0, 2.0])}


def gate(model, head):
    """Scales what the head gives the output projection, in every forward from now on."""
    parts = [m for name, m in model.named_modules() if name.endswith(OUTPUT_PROJECTIONS)]
    width = getattr(model.config, "head_dim", None)
    width = width or model.config.hidden_size // model.config.num_attention_heads

    def scale(_module, inputs):
        z = inputs[0].clone()
        z[..., head["head"] * width : (head["head"] + 1) * width] *= head["factor"]
        return (z, *inputs[1:])

    parts[head["layer"]].register_forward_pre_hook(scale)


def greedy(folder, prompt, head):
    """New tokens in fp64, without a cache, and how far the second logit was below, of the largest size."""
    torch.set_default_dtype(torch.float64)
    model = load(folder, torch.float64)
    gate(model, head)
    tokens, margins = [], []
    with torch.no_grad():
        for _ in range(NEW_TOKENS):
            logits = model(torch.tensor([prompt + tokens])).logits[0, -1]
            best = logits.topk(2)
            tokens.append(best.indices[0].item())
            margins.append(((best.values[0] - best.values[1]) / logits.abs().max()).item())
    return {"prompt": prompt, "heads": [head], "tokens": tokens, "margins": margins}


def make_pair(rng, vocab):
    length = rng.choice(LENGTHS)
    shared = rng.choice([0, length // 2, length - 1])
    clean = [rng.randrange(vocab) for _ in range(length)]
    corrupted = clean[:shared] + [rng.randrange(vocab) for _ in range(length - shared)]
    if corrupted == clean:
        corrupted[-1] = (clean[-1] + 1) % vocab
    answers = rng.sample(range(vocab), 4)
    return {"clean": clean, "corrupted": corrupted, "correct": answers[:2], "incorrect": answers[2:]}


def values(folder, dtype, task, noise=0.0):
    """With `noise`, of weights that are off by so much of themselves."""
    torch.set_default_dtype(dtype)
    model = load(folder, dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + noise * torch.randn_like(parameter))
    graph = EdgeGraph(model)
    with torch.no_grad():
        logits = [model(torch.tensor([pair["clean"]])).logits[0, -1] for pair in task["pairs"]]
    scores = sum(graph.eap_ig(pair, task["igSteps"]) for pair in task["pairs"]) / len(task["pairs"])
    return {
        "logits": torch.cat(logits).tolist(),
        "scores": scores.flatten().tolist(),
        "circuit": [graph.circuit(pair, task["edges"]).item() for pair in task["pairs"]],
    }


def make(folder, seed):
    rng = random.Random(seed)
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float32)
    config = configuration(rng)
    model = hf.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    fill(model, rng)
    stored = rng.choice([torch.float32, torch.float16, torch.bfloat16])
    model.to(stored).save_pretrained(folder, max_shard_size=rng.choice(["20KB", "5GB"]))
    if rng.random() < 0.4:
        save_adapter(folder, rng)
    graph = EdgeGraph(model)
    task = {
        "pairs": [make_pair(rng, config.vocab_size) for _ in range(rng.choice([1, 3]))],
        "igSteps": rng.choice([1, 2, 5]),
        "edges": [[int(rng.random() < 0.5) for _ in range(graph.destinations)] for _ in range(graph.sources)],
    }
    expected = {
        "fp64": values(folder, torch.float64, task),
        "fp32": values(folder, torch.float32, task),
        "shaken": values(folder, torch.float64, task, FP32_ROUNDING),
    }
    rows = [greedy(folder, pair["clean"], some_head(config, rng)) for pair in task["pairs"]]
    (folder / "expected.json").write_text(json.dumps(task | expected | {"greedy": rows}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    hf.logging.set_verbosity_error()
    hf.utils.logging.disable_progress_bar()
    out, count, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for seed in range(first, first + count):
        make(out / str(seed), seed)
        print(seed - first + 1, flush=True)
