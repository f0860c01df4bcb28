# Reads a Hugging Face folder (config.json and one model.safetensors) without PyTorch: what the
# writers of GGUF and ONNX files beside it need. numpy has no bf16, so it is widened here.
import json
import os

import numpy as np


class Checkpoint:
    """`config` is config.json; `f32(name)` and `bf16_bits(name)` give tensors as numpy arrays."""

    def __init__(self, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            self.config = json.load(file)
        if self.config["model_type"] not in ("llama", "qwen2"):
            raise SystemExit(f"{folder}: only llama and qwen2 checkpoints can be converted.")
        self.path = os.path.join(folder, "model.safetensors")
        with open(self.path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            self.header = json.loads(file.read(length))
        self.data_begin = 8 + length
        heads = self.config["num_attention_heads"]
        self.head_dim = self.config.get("head_dim") or self.config["hidden_size"] // heads
        rope = self.config.get("rope_parameters") or {}
        self.rope_theta = float(rope.get("rope_theta", self.config.get("rope_theta", 10000.0)))

    def has(self, name):
        return name in self.header

    def _raw(self, name, dtype):
        begin, end = self.header[name]["data_offsets"]
        count = (end - begin) // np.dtype(dtype).itemsize
        array = np.fromfile(self.path, dtype, count, offset=self.data_begin + begin)
        return array.reshape(self.header[name]["shape"])

    def f32(self, name):
        if self.header[name]["dtype"] == "F32":
            return self._raw(name, "<f4")
        bits = self._raw(name, "<u2").astype(np.uint32) << 16
        return bits.view(np.float32)

    def bf16_bits(self, name):
        """uint16 bits of the tensor; fp32 checkpoints are rounded to nearest even."""
        if self.header[name]["dtype"] == "BF16":
            return self._raw(name, "<u2")
        bits = self.f32(name).view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
