# PyTorch and Hugging Face transformers as a peer of scripts/bench/compare: announces its tasks in
# one JSON line, then runs one task per request line and answers with the seconds it took.
# Usage: torch_peer.py MODEL PAIRS THREADS ("-" for MODEL leaves out what needs a checkpoint).
import json
import sys
import time

import torch
import torch.nn.functional as functional

LINEAR_SHAPES = [(512, 1536, 576), (512, 8960, 1536)]  # rows, outputs, inputs
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
ATTENTIONS = ["eager", "sdpa"]
PREFILL_TOKENS = 512
STEPS = 5


def linear_tasks():
    """y = x Wᵀ of random operands, in each dtype."""
    tasks = []
    for rows, outputs, inputs in LINEAR_SHAPES:
        for name, dtype in DTYPES.items():
            x = torch.randn(rows, inputs).to(dtype)
            weight = torch.randn(outputs, inputs).to(dtype)

            def run(x=x, weight=weight):
                with torch.inference_mode():
                    functional.linear(x, weight)

            tasks.append((f"linear {rows}x{outputs}x{inputs}", name, run))
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

    def __init__(self, pairs):
        longest = max(len(pair["clean"]) for pair in pairs)
        self.last = torch.tensor([len(pair["clean"]) - 1 for pair in pairs])
        self.rows = torch.arange(len(pairs))
        self.clean, self.corrupted = (
            torch.tensor([pair[side] + [0] * (longest - len(pair[side])) for pair in pairs])
            for side in ("clean", "corrupted")
        )
        self.correct, self.incorrect = (
            torch.tensor([as_list(pair[side])[0] for pair in pairs])
            for side in ("correct", "incorrect")
        )

    def logit_difference(self, logits):
        """Sum over pairs of correct minus incorrect logit; `logits` [pairs, tokens, vocab]."""
        last = logits[self.rows, self.last].float()
        return (last[self.rows, self.correct] - last[self.rows, self.incorrect]).sum()


def forward_all(model, ids):
    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False).logits


def eap_ig_bound(model, batch):
    """What no version of EAP-IG on PyTorch can do without: a forward of each end, and a forward
    and a backward per step of a point between their embeddings; nothing is recorded."""
    forward_all(model, batch.clean)
    forward_all(model, batch.corrupted)
    embed = model.get_input_embeddings()
    with torch.no_grad():
        clean, corrupted = embed(batch.clean), embed(batch.corrupted)
    for step in range(STEPS):
        point = corrupted + (step / STEPS) * (clean - corrupted)
        point.requires_grad_(True)
        logits = model(inputs_embeds=point, use_cache=False).logits
        batch.logit_difference(logits).backward()


def model_tasks(folder, pairs_path):
    """Prefill, the bound of EAP-IG and one forward of the prompts, per attention and dtype."""
    from transformers import AutoModelForCausalLM

    batch = Batch(read_pairs(pairs_path))
    tasks = []
    for dtype_name, dtype in DTYPES.items():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
        model.requires_grad_(False)
        generator = torch.Generator().manual_seed(1)
        prompt = torch.randint(model.config.vocab_size, (1, PREFILL_TOKENS), generator=generator)
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


def announce(tasks, threads):
    import transformers

    print(
        json.dumps(
            {
                "peer": f"PyTorch {torch.__version__}, transformers {transformers.__version__}",
                "settings": f"{torch.get_num_threads()} of {threads} threads asked for, "
                f"{torch.backends.cpu.get_cpu_capability()}, "
                f"oneDNN {'on' if torch.backends.mkldnn.is_available() else 'off'}",
                "tasks": [{"task": task, "variant": variant} for task, variant, _ in tasks],
            }
        ),
        flush=True,
    )


def main():
    folder, pairs_path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    tasks = linear_tasks()
    if folder != "-":
        tasks += model_tasks(folder, pairs_path)
    announce(tasks, threads)
    by_name = {(task, variant): run for task, variant, run in tasks}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            run = by_name[(request["task"], request["variant"])]
            begin = time.perf_counter()
            run()
            print(json.dumps({"seconds": time.perf_counter() - begin}), flush=True)
        except Exception as error:  # the orchestrator reports it beside the other peers
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)


main()
