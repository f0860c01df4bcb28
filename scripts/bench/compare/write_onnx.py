# Writes a llama or qwen2 checkpoint as an fp32 ONNX graph with a key/value cache, in the fused
# operators of onnxruntime (GroupQueryAttention, SkipSimplifiedLayerNormalization) that its own model
# builder uses. Usage: write_onnx.py FOLDER OUT.onnx (weights go to OUT.onnx.data)
import sys

import numpy as np
import onnx
from checkpoint_file import Checkpoint
from onnx import TensorProto, helper

MICROSOFT = "com.microsoft"


class Graph:
    """Nodes and external weights of the graph being built."""

    def __init__(self, out):
        self.nodes, self.weights = [], []
        self.data_name = out.replace("\\", "/").split("/")[-1] + ".data"
        self.data = open(out + ".data", "wb")

    def weight(self, name, array):
        array = np.ascontiguousarray(array)
        self.data.write(b"\0" * (-self.data.tell() % 4096))
        tensor = TensorProto(name=name, dims=array.shape)
        tensor.data_type = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": self.data_name, "offset": self.data.tell(), "length": array.nbytes}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        array.tofile(self.data)
        self.weights.append(tensor)
        return name

    def add(self, operator, inputs, outputs, domain="", **attributes):
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, inputs, outputs, name=name, domain=domain, **attributes)
        )
        return outputs[0]


class Writer:
    def __init__(self, checkpoint, graph):
        self.checkpoint, self.graph = checkpoint, graph
        self.config = checkpoint.config
        self.epsilon = self.config["rms_norm_eps"]

    def linear(self, x, name, out):
        """x Wᵀ (+ b), the weight transposed once here."""
        weight = self.graph.weight(name, self.checkpoint.f32(f"{name}.weight").T)
        y = self.graph.add("MatMul", [x, weight], [out])
        if not self.checkpoint.has(f"{name}.bias"):
            return y
        bias = self.graph.weight(f"{name}.bias", self.checkpoint.f32(f"{name}.bias"))
        return self.graph.add("Add", [y, bias], [f"{out}_biased"])

    def skip_norm(self, stream, update, name):
        """The stream with the update added, and its norm."""
        weight = self.graph.weight(name, self.checkpoint.f32(name))
        outputs = [f"{name}.out", "", "", f"{name}.stream"]
        self.graph.add(
            "SkipSimplifiedLayerNormalization", [stream, update, weight], outputs,
            domain=MICROSOFT, epsilon=self.epsilon,
        )
        return outputs[3], outputs[0]

    def rotary_tables(self, positions):
        half = self.checkpoint.head_dim // 2
        frequencies = self.checkpoint.rope_theta ** -(np.arange(half) / half)
        angles = np.outer(np.arange(positions), frequencies)
        self.graph.weight("cos_cache", np.cos(angles).astype(np.float32))
        self.graph.weight("sin_cache", np.sin(angles).astype(np.float32))

    def attention(self, x, layer):
        prefix = f"model.layers.{layer}.self_attn"
        q, k, v = (self.linear(x, f"{prefix}.{p}_proj", f"{prefix}.{p}") for p in "qkv")
        z = self.graph.add(
            "GroupQueryAttention",
            [q, k, v, f"past_k_{layer}", f"past_v_{layer}", "seqlens_k", "total_length",
             "cos_cache", "sin_cache"],
            [f"{prefix}.z", f"present_k_{layer}", f"present_v_{layer}"],
            domain=MICROSOFT,
            num_heads=self.config["num_attention_heads"],
            kv_num_heads=self.config["num_key_value_heads"],
            do_rotary=1,
            rotary_interleaved=0,
        )
        return self.linear(z, f"{prefix}.o_proj", f"{prefix}.write")

    def mlp(self, x, layer):
        prefix = f"model.layers.{layer}.mlp"
        gate = self.linear(x, f"{prefix}.gate_proj", f"{prefix}.gate")
        up = self.linear(x, f"{prefix}.up_proj", f"{prefix}.up")
        sigmoid = self.graph.add("Sigmoid", [gate], [f"{prefix}.sigmoid"])
        silu = self.graph.add("Mul", [gate, sigmoid], [f"{prefix}.silu"])
        product = self.graph.add("Mul", [silu, up], [f"{prefix}.product"])
        return self.linear(product, f"{prefix}.down_proj", f"{prefix}.write")

    def body(self):
        embedding = self.graph.weight("embedding", self.checkpoint.f32("model.embed_tokens.weight"))
        stream = self.graph.add("Gather", [embedding, "input_ids"], ["embedded"])
        name = "model.layers.0.input_layernorm.weight"
        weight = self.graph.weight(name, self.checkpoint.f32(name))
        x = self.graph.add(
            "SimplifiedLayerNormalization", [stream, weight], [f"{name}.out"],
            axis=-1, epsilon=self.epsilon, stash_type=1,
        )
        layers = self.config["num_hidden_layers"]
        for layer in range(layers):
            prefix = f"model.layers.{layer}"
            write = self.attention(x, layer)
            stream, x = self.skip_norm(stream, write, f"{prefix}.post_attention_layernorm.weight")
            following = f"model.layers.{layer + 1}.input_layernorm" if layer + 1 < layers else "model.norm"
            stream, x = self.skip_norm(stream, self.mlp(x, layer), f"{following}.weight")
        # logits_from is 0 for all positions and -1 for the last.
        ends = self.graph.weight("ends", np.array([2**62], np.int64))
        axes = self.graph.weight("axes", np.array([1], np.int64))
        kept = self.graph.add("Slice", [x, "logits_from", ends, axes], ["kept"])
        tied = not self.checkpoint.has("lm_head.weight")
        head = self.checkpoint.f32("model.embed_tokens.weight" if tied else "lm_head.weight")
        self.graph.add("MatMul", [kept, self.graph.weight("unembedding", head.T)], ["logits"])


def inputs_and_outputs(checkpoint):
    config = checkpoint.config
    info = helper.make_tensor_value_info
    cache = ["batch", config["num_key_value_heads"], "past", checkpoint.head_dim]
    grown = ["batch", config["num_key_value_heads"], "total", checkpoint.head_dim]
    inputs = [
        info("input_ids", TensorProto.INT64, ["batch", "tokens"]),
        info("seqlens_k", TensorProto.INT32, ["batch"]),
        info("total_length", TensorProto.INT32, []),
        info("logits_from", TensorProto.INT64, [1]),
    ]
    outputs = [info("logits", TensorProto.FLOAT, ["batch", "kept", config["vocab_size"]])]
    for layer in range(config["num_hidden_layers"]):
        for part in "kv":
            inputs.append(info(f"past_{part}_{layer}", TensorProto.FLOAT, cache))
            outputs.append(info(f"present_{part}_{layer}", TensorProto.FLOAT, grown))
    return inputs, outputs


def main():
    folder, out = sys.argv[1:]
    checkpoint = Checkpoint(folder)
    graph = Graph(out)
    writer = Writer(checkpoint, graph)
    writer.rotary_tables(min(4096, checkpoint.config["max_position_embeddings"]))
    writer.body()
    graph.data.close()
    inputs, outputs = inputs_and_outputs(checkpoint)
    model = helper.make_model(
        helper.make_graph(graph.nodes, "decoder", inputs, outputs, graph.weights),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=9,
    )
    with open(out, "wb") as file:
        file.write(model.SerializeToString())


main()
