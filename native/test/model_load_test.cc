// load_model: what is read, and every way in which a checkpoint can be wrong.
#include <cmath>
#include <limits>

#include "model_files.h"

namespace headspark {
namespace {

using files::Checkpoint;
using files::expect_error;
using files::load;
using files::TempFolder;
using files::tiny_checkpoint;
using files::write_checkpoint;
using files::write_file;

const char* const model_types[] = {"qwen2",       "qwen3",   "llama", "phi3",    "olmo2",
                                   "gemma3_text", "granite", "gpt2",  "gpt_neox"};

void check_view(const WeightView& view, const files::TestTensor& tensor) {
  REQUIRE(view.rows == tensor.shape[0]);
  REQUIRE(view.cols == tensor.shape[1]);
  for (std::int64_t row = 0; row < view.rows; ++row) {
    for (std::int64_t col = 0; col < view.cols; ++col) {
      CHECK(view.at(row, col) == tensor.values[static_cast<std::size_t>(row * view.cols + col)]);
    }
  }
}

TEST_CASE("load: every architecture") {
  for (const char* type : model_types) {
    const Checkpoint checkpoint = tiny_checkpoint(type);
    const auto model = load(checkpoint);
    CHECK(model->layers.size() == 2);
    CHECK(model->config.sources() == 1 + 2 * 5);
    std::int64_t parameters = 0;
    for (const auto& [name, tensor] : checkpoint.tensors) {
      parameters += static_cast<std::int64_t>(tensor.values.size());
    }
    CHECK(model->parameter_count == parameters);
    CHECK(model->layers[1].q.packed != nullptr);
    CHECK(model->unembedding.out() == 11);
  }
}

TEST_CASE("load: plain tensors, biases and norms are where they belong") {
  const Checkpoint checkpoint = tiny_checkpoint("qwen2");
  const auto& tensors = checkpoint.tensors;
  const auto model = load(checkpoint);
  const LayerWeights& layer = model->layers[1];
  check_view(layer.q.view, tensors.at("model.layers.1.self_attn.q_proj.weight"));
  check_view(layer.k.view, tensors.at("model.layers.1.self_attn.k_proj.weight"));
  check_view(layer.v.view, tensors.at("model.layers.1.self_attn.v_proj.weight"));
  check_view(layer.o.view, tensors.at("model.layers.1.self_attn.o_proj.weight"));
  check_view(layer.gate.view, tensors.at("model.layers.1.mlp.gate_proj.weight"));
  check_view(layer.up.view, tensors.at("model.layers.1.mlp.up_proj.weight"));
  check_view(layer.down.view, tensors.at("model.layers.1.mlp.down_proj.weight"));
  CHECK(layer.k.bias == tensors.at("model.layers.1.self_attn.k_proj.bias").values);
  CHECK(layer.mlp_norm.weight ==
        tensors.at("model.layers.1.post_attention_layernorm.weight").values);
  CHECK(layer.o.bias.empty());
  CHECK(model->config.tied_embeddings);
  CHECK(model->unembedding.view.data == model->embedding.data);
}

TEST_CASE("load: GPT-2's transposed, column-blocked c_attn equals an explicit split") {
  const Checkpoint checkpoint = tiny_checkpoint("gpt2");
  const auto model = load(checkpoint);
  const auto& weight = checkpoint.tensors.at("transformer.h.1.attn.c_attn.weight");
  const auto& bias = checkpoint.tensors.at("transformer.h.1.attn.c_attn.bias");
  const LinearWeight* parts[] = {&model->layers[1].q, &model->layers[1].k, &model->layers[1].v};
  for (std::size_t part = 0; part < 3; ++part) {
    for (std::size_t out = 0; out < 8; ++out) {
      CHECK(parts[part]->bias[out] == bias.values[part * 8 + out]);
      for (std::size_t in = 0; in < 8; ++in) {
        CHECK(parts[part]->view.at(static_cast<std::int64_t>(out), static_cast<std::int64_t>(in)) ==
              weight.values[in * 24 + part * 8 + out]);
      }
    }
  }
  const auto& up = checkpoint.tensors.at("transformer.h.0.mlp.c_fc.weight");
  CHECK(model->layers[0].up.out() == 32);
  CHECK(model->layers[0].up.view.at(5, 3) == up.values[3 * 32 + 5]);
}

TEST_CASE("load: GPT-NeoX's interleaved query_key_value equals an explicit split") {
  const Checkpoint checkpoint = tiny_checkpoint("gpt_neox");
  const auto model = load(checkpoint);
  const auto& weight = checkpoint.tensors.at("gpt_neox.layers.1.attention.query_key_value.weight");
  const auto& bias = checkpoint.tensors.at("gpt_neox.layers.1.attention.query_key_value.bias");
  const LinearWeight* parts[] = {&model->layers[1].q, &model->layers[1].k, &model->layers[1].v};
  for (std::size_t part = 0; part < 3; ++part) {
    for (std::size_t out = 0; out < 8; ++out) {
      const std::size_t row = (out / 2) * 6 + part * 2 + out % 2;  // [4 heads, 3, head_dim 2]
      CHECK(parts[part]->bias[out] == bias.values[row]);
      for (std::size_t in = 0; in < 8; ++in) {
        CHECK(parts[part]->view.at(static_cast<std::int64_t>(out), static_cast<std::int64_t>(in)) ==
              weight.values[row * 8 + in]);
      }
    }
  }
}

TEST_CASE("load: Phi-3's qkv_proj and gate_up_proj equal the tensors they are made of") {
  const auto tensors = tiny_checkpoint("llama").tensors;
  const auto model = load(tiny_checkpoint("phi3"));
  for (std::size_t index = 0; index < 2; ++index) {
    const std::string at = "model.layers." + std::to_string(index) + ".";
    const LayerWeights& layer = model->layers[index];
    check_view(layer.q.view, tensors.at(at + "self_attn.q_proj.weight"));
    check_view(layer.k.view, tensors.at(at + "self_attn.k_proj.weight"));
    check_view(layer.v.view, tensors.at(at + "self_attn.v_proj.weight"));
    check_view(layer.gate.view, tensors.at(at + "mlp.gate_proj.weight"));
    check_view(layer.up.view, tensors.at(at + "mlp.up_proj.weight"));
    check_view(layer.down.view, tensors.at(at + "mlp.down_proj.weight"));
    CHECK(layer.q.bias.empty());
  }
  Checkpoint apart = tiny_checkpoint("llama");
  apart.config["model_type"] = "phi3";
  expect_error(ErrorCode::TENSOR_MISSING, {"self_attn.qkv_proj.weight", "[16, 8]"},
               [&] { load(apart); });
}

TEST_CASE("load: Gemma 3's norms are stored as what is added to 1") {
  const Checkpoint checkpoint = tiny_checkpoint("gemma3_text");
  const auto& tensors = checkpoint.tensors;
  const auto model = load(checkpoint);
  const LayerWeights& layer = model->layers[1];
  const std::string at = "model.layers.1.";
  const auto plus_one = [&](const std::string& name) {
    std::vector<float> values = tensors.at(name).values;
    for (float& value : values) value += 1.0f;
    return values;
  };
  CHECK(layer.attention_norm.weight == plus_one(at + "input_layernorm.weight"));
  CHECK(layer.attention_post_norm.weight == plus_one(at + "post_attention_layernorm.weight"));
  CHECK(layer.mlp_norm.weight == plus_one(at + "pre_feedforward_layernorm.weight"));
  CHECK(layer.mlp_post_norm.weight == plus_one(at + "post_feedforward_layernorm.weight"));
  CHECK(layer.head_write_gain.weight == layer.attention_post_norm.weight);
  CHECK(layer.q_norm.weight == plus_one(at + "self_attn.q_norm.weight"));
  CHECK(layer.k_norm_each.weight == plus_one(at + "self_attn.k_norm.weight"));
  CHECK(model->final_norm.weight == plus_one("model.norm.weight"));
}

TEST_CASE("load: the decoder of a Gemma 3 with a vision tower, under both of its names") {
  const Checkpoint text = tiny_checkpoint("gemma3_text");
  const std::string decoder = "language_model.";
  for (const std::string& prefix : {decoder + "model.", "model." + decoder}) {
    Checkpoint whole = files::tiny_vision_checkpoint(prefix);
    const auto model = load(whole);
    check_view(model->layers[1].q.view, text.tensors.at("model.layers.1.self_attn.q_proj.weight"));
    CHECK(model->unembedding.view.data == model->embedding.data);
    // An unembedding of its own is not lost.
    const std::string unembedding = (prefix.starts_with(decoder) ? decoder : "") + "lm_head.weight";
    whole.config["tie_word_embeddings"] = false;
    expect_error(ErrorCode::TENSOR_MISSING, {unembedding}, [&] { load(whole); });
    whole.tensors[unembedding] = files::make_tensor({11, 8}, 99);
    check_view(load(whole)->unembedding.view, whole.tensors.at(unembedding));
  }
}

TEST_CASE("load: Granite's factors stand where norms would") {
  Checkpoint checkpoint = tiny_checkpoint("granite");
  checkpoint.config["residual_multiplier"] = 0.25;
  checkpoint.config["logits_scaling"] = 4.0;
  const auto model = load(checkpoint);
  const std::vector<float> quarter(8, 0.25f);
  for (const NormWeight* norm :
       {&model->layers[1].attention_post_norm, &model->layers[1].mlp_post_norm,
        &model->layers[1].head_write_gain}) {
    CHECK(norm->kind == NormKind::fixed);
    CHECK(norm->weight == quarter);
  }
  std::vector<float> final = checkpoint.tensors.at("model.norm.weight").values;
  for (float& value : final) value /= 4.0f;
  CHECK(model->final_norm.weight == final);
}

TEST_CASE("load: OLMo 2's norms stand after attention and MLP, and over all heads") {
  const Checkpoint checkpoint = tiny_checkpoint("olmo2");
  const auto& tensors = checkpoint.tensors;
  const auto model = load(checkpoint);
  CHECK(model->config.post_norm);
  CHECK(model->config.qk_norm);
  const LayerWeights& layer = model->layers[1];
  const std::string at = "model.layers.1.";
  const auto& after = tensors.at(at + "post_attention_layernorm.weight").values;
  CHECK(layer.attention_post_norm.kind == NormKind::rms);
  CHECK(layer.attention_post_norm.weight == after);
  CHECK(layer.mlp_post_norm.weight == tensors.at(at + "post_feedforward_layernorm.weight").values);
  CHECK(layer.head_write_gain.kind == NormKind::fixed);
  CHECK(layer.head_write_gain.weight == after);
  for (const NormWeight* before : {&layer.attention_norm, &layer.mlp_norm}) {
    CHECK(before->kind == NormKind::fixed);
    CHECK(before->weight == std::vector<float>(8, 1.0f));
  }
  CHECK(layer.q_norm.weight == tensors.at(at + "self_attn.q_norm.weight").values);
  const auto& k = tensors.at(at + "self_attn.k_norm.weight").values;  // 2 heads of 2
  CHECK(layer.k_norm.weight == k);
  CHECK(layer.k_norm_each.weight ==
        std::vector<float>{k[0], k[1], k[0], k[1], k[2], k[3], k[2], k[3]});
  Checkpoint short_norm = checkpoint;
  short_norm.tensors[at + "self_attn.q_norm.weight"] = files::make_tensor({2}, 1);
  expect_error(ErrorCode::TENSOR_SHAPE, {"self_attn.q_norm.weight", "[8]"},
               [&] { load(short_norm); });
}

TEST_CASE("load: names without the architecture's prefix") {
  Checkpoint checkpoint = tiny_checkpoint("gpt2");
  files::Tensors bare;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    bare[name.substr(std::string("transformer.").size())] = tensor;
  }
  const auto with_prefix = load(checkpoint);
  checkpoint.tensors = bare;
  CHECK(load(checkpoint)->layers[1].up.view.at(1, 2) == with_prefix->layers[1].up.view.at(1, 2));
}

TEST_CASE("load: llama biases by configuration") {
  Checkpoint checkpoint = tiny_checkpoint("llama");
  checkpoint.config["attention_bias"] = true;
  checkpoint.config["mlp_bias"] = true;
  expect_error(ErrorCode::TENSOR_MISSING, {"self_attn.q_proj.bias"}, [&] { load(checkpoint); });
  for (const char* at : {"model.layers.0.", "model.layers.1."}) {
    for (const auto& [name, size] :
         std::vector<std::pair<std::string, std::int64_t>>{{"self_attn.q_proj", 8},
                                                           {"self_attn.k_proj", 4},
                                                           {"self_attn.v_proj", 4},
                                                           {"self_attn.o_proj", 8},
                                                           {"mlp.gate_proj", 12},
                                                           {"mlp.up_proj", 12},
                                                           {"mlp.down_proj", 8}}) {
      checkpoint.tensors[at + name + ".bias"] = files::make_tensor({size}, 77);
    }
  }
  const auto model = load(checkpoint);
  CHECK(model->layers[0].o.bias.size() == 8);
  CHECK(model->layers[0].down.bias.size() == 8);
  CHECK(model->layers[0].gate.bias.size() == 12);
}

TEST_CASE("load: tied, untied and repeated unembeddings") {
  Checkpoint checkpoint = tiny_checkpoint("llama");
  checkpoint.tensors["lm_head.weight"] = checkpoint.tensors["model.embed_tokens.weight"];
  CHECK(load(checkpoint)->config.tied_embeddings);
  checkpoint.tensors["lm_head.weight"].values[3] += 0.25f;
  const auto apart = load(checkpoint);
  CHECK(!apart->config.tied_embeddings);
  check_view(apart->unembedding.view, checkpoint.tensors["lm_head.weight"]);
  checkpoint.tensors.erase("lm_head.weight");
  checkpoint.config["tie_word_embeddings"] = false;
  expect_error(ErrorCode::TENSOR_MISSING, {"lm_head.weight", "[11, 8]"}, [&] { load(checkpoint); });
}

TEST_CASE("load: missing, misshapen and mistyped tensors") {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  Checkpoint checkpoint = tiny_checkpoint("llama");
  checkpoint.tensors[name] = files::make_tensor({8, 12}, 5);
  expect_error(ErrorCode::TENSOR_SHAPE, {"model.safetensors", name, "[8, 12]", "[12, 8]"},
               [&] { load(checkpoint); });
  checkpoint.tensors.erase(name);
  expect_error(ErrorCode::TENSOR_MISSING, {"model.safetensors", name, "[12, 8]"},
               [&] { load(checkpoint); });
  checkpoint.tensors[name] = files::make_tensor({12, 8}, 5);
  checkpoint.tensors[name].dtype = "I32";
  expect_error(ErrorCode::TENSOR_DTYPE, {"model.safetensors", name, "I32"},
               [&] { load(checkpoint); });
  checkpoint.tensors[name].dtype = "F32";
  checkpoint.tensors["model.layers.0.buffer"] = {{1}, {0.0f}, "I32"};
  CHECK(load(checkpoint)->layers.size() == 2);  // unneeded tensors may have any type
}

TEST_CASE("load: NaN and infinite weights, with their place") {
  const std::string name = "model.layers.0.mlp.down_proj.weight";
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    for (const char* dtype : {"F32", "BF16"}) {
      Checkpoint checkpoint = tiny_checkpoint("qwen3");
      checkpoint.tensors[name].dtype = dtype;
      checkpoint.tensors[name].values[37] = bad;
      expect_error(ErrorCode::TENSOR_VALUE, {"model.safetensors", name, "flat index 37"},
                   [&] { load(checkpoint); });
      TempFolder folder;
      write_checkpoint(folder.path(), checkpoint);
      LoadOptions unchecked;
      unchecked.check_values = false;
      CHECK(load_model(folder.path(), unchecked, RunControl())->layers.size() == 2);
    }
  }
}

TEST_CASE("load: the largest finite values pass") {
  Checkpoint checkpoint = tiny_checkpoint("llama");
  auto& tensor = checkpoint.tensors["model.layers.0.mlp.down_proj.weight"];
  tensor.values[0] = std::numeric_limits<float>::max();
  tensor.values[1] = std::numeric_limits<float>::denorm_min();
  CHECK(load(checkpoint)->layers[0].down.view.at(0, 0) == tensor.values[0]);
}

TEST_CASE("load: tensors that are not aligned to their type") {
  const Checkpoint checkpoint = tiny_checkpoint("llama");
  TempFolder folder;
  write_checkpoint(folder.path(), checkpoint);
  std::string bytes = files::safetensors_bytes(checkpoint.tensors);
  bytes[0] = static_cast<char>(bytes[0] + 1);  // one more blank in the header: odd offsets
  bytes.insert(8 + static_cast<std::size_t>(static_cast<unsigned char>(bytes[1])) * 256 +
                   static_cast<unsigned char>(bytes[0]) - 1,
               " ");
  write_file(folder.path() / "model.safetensors", bytes);
  const auto model = load_folder(folder);
  CHECK(reinterpret_cast<std::uintptr_t>(model->embedding.data) % 4 == 0);
  check_view(model->embedding, checkpoint.tensors.at("model.embed_tokens.weight"));
}

TEST_CASE("load: missing and truncated files") {
  TempFolder folder;
  expect_error(ErrorCode::FILE_NOT_FOUND, {"config.json"}, [&] { load_folder(folder); });
  const Checkpoint checkpoint = tiny_checkpoint("llama");
  write_file(folder.path() / "config.json", checkpoint.config.dump());
  expect_error(ErrorCode::FILE_NOT_FOUND, {"model.safetensors"}, [&] { load_folder(folder); });
  std::filesystem::create_directory(folder.path() / "model.safetensors");
  expect_error(ErrorCode::FILE_NOT_FOUND, {"model.safetensors", "regular file"},
               [&] { load_folder(folder); });
  std::filesystem::remove(folder.path() / "model.safetensors");
  std::string bytes = files::safetensors_bytes(checkpoint.tensors);
  bytes.pop_back();
  write_file(folder.path() / "model.safetensors", bytes);
  expect_error(ErrorCode::FILE_CORRUPT, {"model.safetensors", "tensor", "truncated"},
               [&] { load_folder(folder); });
  write_file(folder.path() / "model.safetensors", "");
  expect_error(ErrorCode::FILE_CORRUPT, {"model.safetensors"}, [&] { load_folder(folder); });
}

TEST_CASE("load: a stop request cancels") {
  TempFolder folder;
  write_checkpoint(folder.path(), tiny_checkpoint("llama"));
  RunControl control;
  control.stop_hook = [] { return true; };
  expect_error(ErrorCode::CANCELLED, {},
               [&] { load_model(folder.path(), LoadOptions(), control); });
}

}  // namespace
}  // namespace headspark
