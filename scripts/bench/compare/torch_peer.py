# PyTorch and Hugging Face transformers as a peer of scripts/bench/compare: announces its tasks in
# one JSON line, then runs one task per request line and answers with the seconds it took.
# Usage: torch_peer.py MODEL PAIRS THREADS [cpu|cuda:N [VARIANTS]] ("-" for MODEL leaves out what needs
# a checkpoint; no model is loaded for variants without VARIANTS in their names).
import functools
import json
import math
import sys
import time

import torch
import torch.nn.functional as functional

# rows, outputs, inputs
LINEAR_SHAPES = [(512, 1536, 576), (512, 8960, 1536)]
GPU_LINEAR_SHAPES = [(8192, 8960, 1536), (8192, 1536, 8960), (8192, 8192, 8192)]
# FlashAttention's own benchmark (arXiv 2307.08691): so many tokens in all, so many values wide.
ATTENTION_TOKENS, ATTENTION_WIDTH = 16384, 2048
ATTENTION_LENGTHS, HEAD_DIMS = [128, 512, 2048, 8192], [64, 128]
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
ATTENTIONS = ["eager", "sdpa"]
PREFILL_TOKENS = 512
STEPS = 5
# A GPU is given many short runs without waiting for each.
QUEUED_SECONDS, MOST_QUEUED = 5e-3, 1000


def linear_tasks(device):
    """y = x Wᵀ of random operands, in each dtype."""
    tasks = []
    for rows, outputs, inputs in LINEAR_SHAPES if device == "cpu" else GPU_LINEAR_SHAPES:
        for name, dtype in DTYPES.items():
            x = torch.randn(rows, inputs, device=device).to(dtype)
            weight = torch.randn(outputs, inputs, device=device).to(dtype)

            def run(x=x, weight=weight):
                with torch.inference_mode():
                    functional.linear(x, weight)

            tasks.append((f"linear {rows}x{outputs}x{inputs}", name, run))
    return tasks


def attention_tasks(device):
    """Causal scaled dot product attention forward and backward, by kernel."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    kernels = {
        "cudnn bf16": (SDPBackend.CUDNN_ATTENTION, torch.bfloat16),
        "flash bf16": (SDPBackend.FLASH_ATTENTION, torch.bfloat16),
        "efficient f32": (SDPBackend.EFFICIENT_ATTENTION, torch.float32),
    }
    held = {}  # of each kernel the operands of the size that was asked for last

    def operands(shape, variant):
        if variant not in held or held[variant][0] != shape:
            held.pop(variant, None)
            kernel, dtype = kernels[variant]
            q, k, v, d_out = (torch.randn(shape, device=device).to(dtype) for _ in range(4))
            for operand in (q, k, v):
                operand.requires_grad_(True)
            with sdpa_kernel(kernel):
                out = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            held[variant] = shape, (q, k, v), out, d_out
        return held[variant][1:]

    def forward(shape, variant):
        (q, k, v), _, _ = operands(shape, variant)
        with sdpa_kernel(kernels[variant][0]), torch.no_grad():
            functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    def backward(shape, variant):
        inputs, out, d_out = operands(shape, variant)
        torch.autograd.grad(out, inputs, d_out, retain_graph=True)

    tasks = []
    for head_dim in HEAD_DIMS:
        for length in ATTENTION_LENGTHS:
            shape = (ATTENTION_TOKENS // length, ATTENTION_WIDTH // head_dim, length, head_dim)
            for variant in kernels:
                for direction, run in (("forward", forward), ("backward", backward)):
                    name = f"attention {direction} {length}x{head_dim}"
                    tasks.append((name, variant, functools.partial(run, shape, variant)))
    return tasks


def read_pairs(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def as_list(answer):
    return answer if isinstance(answer, list) else [answer]


class Batch:
    """Pairs as two right-padded id matrices [pairs, longest] and the last position of each row.

    No attention mask: padding on the right never reaches a real token of a causal model, and the
    call without a mask is the faster one.
    """

    def __init__(self, pairs, device):
        def tensor(values):
            return torch.tensor(values, device=device)

        longest = max(len(pair["clean"]) for pair in pairs)
        # From the last position of the shortest pair on.
        self.logits_to_keep = longest - min(len(pair["clean"]) for pair in pairs) + 1
        first = longest - self.logits_to_keep
        self.last = tensor([len(pair["clean"]) - 1 - first for pair in pairs])
        self.rows = torch.arange(len(pairs), device=device)
        self.clean, self.corrupted = (
            tensor([pair[side] + [0] * (longest - len(pair[side])) for pair in pairs])
            for side in ("clean", "corrupted")
        )
        self.correct, self.incorrect = (
            tensor([as_list(pair[side])[0] for pair in pairs]) for side in ("correct", "incorrect")
        )

    def logit_difference(self, logits):
        """Sum over pairs of correct minus incorrect logit; `logits` [pairs, kept, vocab]."""
        last = logits[self.rows, self.last].float()
        return (last[self.rows, self.correct] - last[self.rows, self.incorrect]).sum()


def forward_all(model, ids, logits=0):
    """`logits`: of so many positions at the end; 0: of all."""
    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False, logits_to_keep=logits).logits


def eap_ig_bound(model, batch):
    """What no version of EAP-IG on PyTorch can do without: a forward of each end, and a forward
    and a backward per step of a point between their embeddings; nothing is recorded, and logits are
    of as few positions as the lengths of the pairs allow."""
    kept = batch.logits_to_keep
    forward_all(model, batch.clean, kept)
    forward_all(model, batch.corrupted, kept)
    embed = model.get_input_embeddings()
    with torch.no_grad():
        clean, corrupted = embed(batch.clean), embed(batch.corrupted)
    for step in range(STEPS):
        point = corrupted + (step / STEPS) * (clean - corrupted)
        point.requires_grad_(True)
        logits = model(inputs_embeds=point, use_cache=False, logits_to_keep=kept).logits
        batch.logit_difference(logits).backward()


def fitting_dtypes(folder, device, variants):
    """Those of wanted variants whose weights leave a GPU three quarters of its memory for
    activations."""
    import pathlib

    wanted = {
        name: dtype
        for name, dtype in DTYPES.items()
        if any(variants in f"{attention} {name}" for attention in ATTENTIONS)
    }
    if device == "cpu":
        return wanted
    stored = sum(file.stat().st_size for file in pathlib.Path(folder).glob("*.safetensors"))
    room = torch.cuda.get_device_properties(device).total_memory / 4
    return {name: dtype for name, dtype in wanted.items() if stored * dtype.itemsize / 2 < room}


def model_tasks(folder, pairs_path, device, variants):
    """Prefill, the bound of EAP-IG and one forward of the prompts, per attention and dtype."""
    from transformers import AutoModelForCausalLM

    batch = Batch(read_pairs(pairs_path), device)
    tasks = []
    for dtype_name, dtype in fitting_dtypes(folder, device, variants).items():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()
        model.requires_grad_(False)
        generator = torch.Generator().manual_seed(1)
        prompt = torch.randint(model.config.vocab_size, (1, PREFILL_TOKENS), generator=generator)
        prompt = prompt.to(device)
        for attention in ATTENTIONS:
            variant = f"{attention} {dtype_name}"

            def using(body, model=model, attention=attention):
                def run():
                    model.set_attn_implementation(attention)
                    body(model)

                return run

            def prefill(model, prompt=prompt):
                with torch.inference_mode():
                    model(input_ids=prompt, use_cache=True, logits_to_keep=1)

            name = f"prefill {PREFILL_TOKENS}"
            tasks.append((name, variant, using(prefill)))
            tasks.append(
                (f"{name} all logits", variant, using(lambda m, p=prompt: forward_all(m, p)))
            )
            tasks.append(("eap-ig", variant, using(lambda m: eap_ig_bound(m, batch))))
            tasks.append(("forward", variant, using(lambda m: forward_all(m, batch.clean))))
    return tasks


def settings_text(threads, device):
    if device != "cpu":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    return (
        f"{torch.get_num_threads()} of {threads} threads asked for, "
        f"{torch.backends.cpu.get_cpu_capability()}, "
        f"oneDNN {'on' if torch.backends.mkldnn.is_available() else 'off'}"
    )


def announce(tasks, threads, device):
    import transformers

    print(
        json.dumps(
            {
                "peer": f"PyTorch {torch.__version__}, transformers {transformers.__version__}",
                "settings": settings_text(threads, device),
                "tasks": [{"task": task, "variant": variant} for task, variant, _ in tasks],
            }
        ),
        flush=True,
    )


def timed(run, runs, device):
    """Seconds of `runs` runs, all of them finished."""
    begin = time.perf_counter()
    for _ in range(runs):
        run()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def seconds_of(run, device):
    """Seconds of one run."""
    once = timed(run, 1, device)
    if device == "cpu" or once >= QUEUED_SECONDS:
        return once
    runs = min(MOST_QUEUED, math.ceil(QUEUED_SECONDS / once))
    return timed(run, runs, device) / runs


def main():
    folder, pairs_path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    device = sys.argv[4] if len(sys.argv) > 4 else "cpu"
    variants = sys.argv[5] if len(sys.argv) > 5 else ""
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    tasks = linear_tasks(device)
    if device != "cpu":
        tasks += attention_tasks(device)
    if folder != "-":
        tasks += model_tasks(folder, pairs_path, device, variants)
    announce(tasks, threads, device)
    by_name = {(task, variant): run for task, variant, run in tasks}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            run = by_name[(request["task"], request["variant"])]
            print(json.dumps({"seconds": seconds_of(run, device)}), flush=True)
        except Exception as error:  # the orchestrator reports it beside the other peers
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)


main()
