// LoRA adapters: which modules, which scale, fused modules, and what is refused by name.
#include <cmath>

#include "model_files.h"

namespace headspark {
namespace {

using files::expect_error;
using files::make_tensor;
using files::Tensors;
using files::tiny_checkpoint;
using nlohmann::json;

struct Adapter {
  json config;
  Tensors tensors;

  void add(const std::string& module, std::int64_t out, std::int64_t in, std::int64_t rank) {
    const auto seed = static_cast<std::uint32_t>(100 + tensors.size());
    tensors["base_model.model." + module + ".lora_A.weight"] = make_tensor({rank, in}, seed);
    tensors["base_model.model." + module + ".lora_B.weight"] = make_tensor({out, rank}, seed + 50);
  }
  const std::vector<float>& values(const std::string& module, char matrix) const {
    return tensors.at("base_model.model." + module + ".lora_" + matrix + ".weight").values;
  }
};

/// Rank 2, alpha 6, on q_proj and v_proj of both layers of the tiny llama.
Adapter tiny_adapter() {
  Adapter adapter;
  adapter.config = {{"peft_type", "LORA"},
                    {"r", 2},
                    {"lora_alpha", 6},
                    {"bias", "none"},
                    {"target_modules", {"q_proj", "v_proj"}}};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    adapter.add(std::string(layer) + "self_attn.q_proj", 8, 8, 2);
    adapter.add(std::string(layer) + "self_attn.v_proj", 4, 8, 2);
  }
  return adapter;
}

std::shared_ptr<const Model> adapted(const std::shared_ptr<const Model>& base,
                                     const Adapter& adapter) {
  files::TempFolder folder;
  files::write_file(folder.path() / "adapter_config.json", adapter.config.dump());
  files::write_file(folder.path() / "adapter_model.safetensors",
                    files::safetensors_bytes(adapter.tensors));
  return with_adapter(base, folder.path(), LoadOptions());
}

void expect_refused(const char* model_type, const Adapter& adapter, ErrorCode code,
                    const std::vector<std::string>& parts) {
  const auto base = files::load(tiny_checkpoint(model_type));
  expect_error(code, parts, [&] { adapted(base, adapter); });
}

/// W + scale * B A at one place.
double merged(const LinearWeight& linear, std::int64_t row, std::int64_t col) {
  const LowRank& term = *linear.low_rank;
  double sum = 0.0;
  for (std::int64_t i = 0; i < term.rank; ++i) {
    sum += static_cast<double>(term.b.at(row, i)) * term.a.at(i, col);
  }
  return linear.view.at(row, col) + static_cast<double>(term.scale) * sum;
}

TEST_CASE("adapter: targets, scale and shared base") {
  const auto base = files::load(tiny_checkpoint("llama"));
  const Adapter adapter = tiny_adapter();
  const auto model = adapted(base, adapter);
  const LayerWeights& layer = model->layers[1];
  REQUIRE(layer.q.low_rank != nullptr);
  REQUIRE(layer.v.low_rank != nullptr);
  CHECK(layer.k.low_rank == nullptr);
  CHECK(layer.q.low_rank->scale == 3.0f);
  CHECK(factor_values(layer.q.low_rank->a) ==
        adapter.values("model.layers.1.self_attn.q_proj", 'A'));
  CHECK(factor_values(layer.v.low_rank->b) ==
        adapter.values("model.layers.1.self_attn.v_proj", 'B'));
  CHECK(layer.q.packed == base->layers[1].q.packed);
  CHECK(layer.q.view.data == base->layers[1].q.view.data);
  CHECK(base->layers[1].q.low_rank == nullptr);
  CHECK(model->adapter_folder != "");
  CHECK(model_fingerprint(*model) != model_fingerprint(*base));
  CHECK(model_fingerprint(*model) == model_fingerprint(*adapted(base, adapter)));
  const auto& a = adapter.values("model.layers.1.self_attn.q_proj", 'A');
  const auto& b = adapter.values("model.layers.1.self_attn.q_proj", 'B');
  const double expected =
      base->layers[1].q.view.at(5, 6) +
      3.0 * (static_cast<double>(b[10]) * a[6] + static_cast<double>(b[11]) * a[14]);
  CHECK(!(std::fabs(merged(layer.q, 5, 6) - expected) > 1e-12));
  expect_error(ErrorCode::INVALID_ARGUMENT, {"base"}, [&] { adapted(model, adapter); });
}

TEST_CASE("adapter: rslora, patterns, regular expressions, layers") {
  const auto base = files::load(tiny_checkpoint("llama"));
  Adapter adapter = tiny_adapter();
  adapter.config["use_rslora"] = true;
  adapter.config["target_modules"] = R"(^(?!.*vision).*\.(0|1)\.self_attn\.[qv]_proj$)";
  adapter.config["alpha_pattern"] = {{"v_proj", 10}, {R"(layers\.0\..*)", 4}};
  auto model = adapted(base, adapter);
  CHECK(model->layers[1].q.low_rank->scale == static_cast<float>(6.0 / std::sqrt(2.0)));
  CHECK(model->layers[1].v.low_rank->scale == static_cast<float>(10.0 / std::sqrt(2.0)));
  CHECK(model->layers[0].q.low_rank->scale == static_cast<float>(4.0 / std::sqrt(2.0)));

  Adapter ranks = tiny_adapter();
  ranks.config["rank_pattern"] = {{"model.layers.1.self_attn.q_proj", 3}};
  ranks.add("model.layers.1.self_attn.q_proj", 8, 8, 3);
  model = adapted(base, ranks);
  CHECK(model->layers[1].q.low_rank->rank == 3);
  CHECK(model->layers[1].q.low_rank->scale == 2.0f);
  CHECK(model->layers[0].q.low_rank->rank == 2);

  Adapter one_layer;
  one_layer.config = tiny_adapter().config;
  one_layer.config["layers_to_transform"] = {1};
  one_layer.add("model.layers.1.self_attn.q_proj", 8, 8, 2);
  one_layer.add("model.layers.1.self_attn.v_proj", 4, 8, 2);
  for (const json& pattern : {json(), json("layers"), json({"h", "layers"})}) {
    one_layer.config["layers_pattern"] = pattern;
    model = adapted(base, one_layer);
    CHECK(model->layers[0].q.low_rank == nullptr);
    CHECK(model->layers[1].q.low_rank != nullptr);
  }
}

TEST_CASE("adapter: the first pattern of the file wins, not the first in order of names") {
  const auto base = files::load(tiny_checkpoint("llama"));
  const Adapter adapter = tiny_adapter();
  files::TempFolder folder;
  std::string config = adapter.config.dump();
  config.pop_back();
  config += R"(,"alpha_pattern":{"v_proj":10,"self_attn.v_proj":20}})";
  files::write_file(folder.path() / "adapter_config.json", config);
  files::write_file(folder.path() / "adapter_model.safetensors",
                    files::safetensors_bytes(adapter.tensors));
  const auto model = with_adapter(base, folder.path(), LoadOptions());
  CHECK(model->layers[0].v.low_rank->scale == 5.0f);
}

TEST_CASE("adapter: fused modules split like their base") {
  for (const bool neox : {false, true}) {
    const auto base = files::load(tiny_checkpoint(neox ? "gpt_neox" : "gpt2"));
    Adapter adapter;
    adapter.config = {{"peft_type", "LORA"},
                      {"r", 3},
                      {"lora_alpha", 3},
                      {"fan_in_fan_out", !neox},
                      {"target_modules", {neox ? "query_key_value" : "c_attn"}}};
    const std::string stem = neox ? "gpt_neox.layers." : "transformer.h.";
    const std::string module = neox ? ".attention.query_key_value" : ".attn.c_attn";
    adapter.add(stem + "0" + module, 24, 8, 3);
    adapter.add(stem + "1" + module, 24, 8, 3);
    const auto model = adapted(base, adapter);
    const auto& b = adapter.values(stem + "1" + module, 'B');
    const LinearWeight* parts[] = {&model->layers[1].q, &model->layers[1].k, &model->layers[1].v};
    for (std::size_t part = 0; part < 3; ++part) {
      REQUIRE(parts[part]->low_rank != nullptr);
      CHECK(parts[part]->low_rank->b.count() == 24);
      const std::vector<float> part_b = factor_values(parts[part]->low_rank->b);
      for (std::size_t out = 0; out < 8; ++out) {
        const std::size_t row = neox ? (out / 2) * 6 + part * 2 + out % 2 : part * 8 + out;
        for (std::size_t i = 0; i < 3; ++i) {
          CHECK(part_b[out * 3 + i] == b[row * 3 + i]);
        }
      }
    }
  }
}

TEST_CASE("adapter: fused modules of unequal parts split like their base") {
  const auto base = files::load(tiny_checkpoint("phi3"));
  Adapter adapter;
  adapter.config = {{"peft_type", "LORA"},
                    {"r", 3},
                    {"lora_alpha", 3},
                    {"target_modules", {"qkv_proj", "gate_up_proj"}}};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    adapter.add(std::string(layer) + "self_attn.qkv_proj", 8 + 4 + 4, 8, 3);
    adapter.add(std::string(layer) + "mlp.gate_up_proj", 12 + 12, 8, 3);
  }
  const auto model = adapted(base, adapter);
  const LayerWeights& layer = model->layers[1];
  const auto check_parts = [&](const std::string& module,
                               std::initializer_list<const LinearWeight*> parts) {
    const auto& a = adapter.values(module, 'A');
    const auto& b = adapter.values(module, 'B');
    auto at = b.begin();
    for (const LinearWeight* part : parts) {
      REQUIRE(part->low_rank != nullptr);
      CHECK(factor_values(part->low_rank->a) == a);
      CHECK(factor_values(part->low_rank->b) == std::vector<float>(at, at + part->out() * 3));
      at += part->out() * 3;
    }
    CHECK(at == b.end());
  };
  check_parts("model.layers.1.self_attn.qkv_proj", {&layer.q, &layer.k, &layer.v});
  check_parts("model.layers.1.mlp.gate_up_proj", {&layer.gate, &layer.up});
  CHECK(layer.down.low_rank == nullptr);
}

TEST_CASE("adapter: all-linear leaves the unembedding alone, lm_head can be named") {
  const auto base = files::load(tiny_checkpoint("llama"));
  Adapter adapter = tiny_adapter();
  adapter.config["target_modules"] = "all-linear";
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    adapter.add(std::string(layer) + "self_attn.k_proj", 4, 8, 2);
    adapter.add(std::string(layer) + "self_attn.o_proj", 8, 8, 2);
    adapter.add(std::string(layer) + "mlp.gate_proj", 12, 8, 2);
    adapter.add(std::string(layer) + "mlp.up_proj", 12, 8, 2);
    adapter.add(std::string(layer) + "mlp.down_proj", 8, 12, 2);
  }
  auto model = adapted(base, adapter);
  CHECK(model->layers[0].down.low_rank != nullptr);
  CHECK(model->unembedding.low_rank == nullptr);
  Adapter head = tiny_adapter();
  head.config["target_modules"] = {"q_proj", "v_proj", "lm_head"};
  head.add("lm_head", 11, 8, 2);
  CHECK(adapted(base, head)->unembedding.low_rank != nullptr);
}

TEST_CASE("adapter: of a decoder beside a vision tower, whose own terms change no text") {
  for (const std::string prefix : {"language_model.model.", "model.language_model."}) {
    const auto base = files::load(files::tiny_vision_checkpoint(prefix));
    Adapter adapter = tiny_adapter();
    adapter.tensors.clear();
    for (const char* layer : {"layers.0.", "layers.1."}) {
      adapter.add(prefix + layer + "self_attn.q_proj", 16, 8, 2);
      adapter.add(prefix + layer + "self_attn.v_proj", 8, 8, 2);
    }
    const auto alone = adapted(base, adapter);
    CHECK(factor_values(alone->layers[1].q.low_rank->a) ==
          adapter.values(prefix + "layers.1.self_attn.q_proj", 'A'));
    adapter.add("model.vision_tower.encoder.layers.0.self_attn.q_proj", 3, 3, 2);
    adapter.add("vision_tower.encoder.layers.0.self_attn.q_proj", 3, 3, 2);
    adapter.add("model.multi_modal_projector.v_proj", 3, 3, 2);
    CHECK(model_fingerprint(*adapted(base, adapter)) == model_fingerprint(*alone));
    adapter.add("model.other.q_proj", 3, 3, 2);
    expect_error(ErrorCode::UNSUPPORTED_ADAPTER, {"model.other.q_proj"},
                 [&] { adapted(base, adapter); });
  }
}

TEST_CASE("adapter: other kinds and options are refused by name") {
  const std::pair<const char*, json> options[] = {{"peft_type", "IA3"},
                                                  {"use_dora", true},
                                                  {"bias", "all"},
                                                  {"modules_to_save", {"lm_head"}},
                                                  {"trainable_token_indices", {1, 2}},
                                                  {"lora_bias", true},
                                                  {"layer_replication", {{0, 1}}},
                                                  {"alora_invocation_tokens", {1}},
                                                  {"use_qalora", true},
                                                  {"target_parameters", {"x"}},
                                                  {"init_lora_weights", "pissa"},
                                                  {"some_new_option", true},
                                                  {"megatron_config", {{"a", 1}}},
                                                  {"ensure_weight_tying", true}};
  for (const auto& [key, value] : options) {
    Adapter adapter = tiny_adapter();
    adapter.config[key] = value;
    expect_refused("llama", adapter, ErrorCode::UNSUPPORTED_ADAPTER, {"adapter_config.json", key});
  }
  Adapter neutral = tiny_adapter();
  neutral.config["some_new_option"] = nullptr;
  neutral.config["use_dora"] = false;
  neutral.config["loftq_config"] = json::object();
  neutral.config["init_lora_weights"] = true;
  CHECK(adapted(files::load(tiny_checkpoint("llama")), neutral) != nullptr);
}

TEST_CASE("adapter: tensors that do not fit") {
  Adapter adapter = tiny_adapter();
  const std::string name = "base_model.model.model.layers.1.self_attn.q_proj.lora_B.weight";
  adapter.tensors[name] = make_tensor({8, 3}, 9);
  expect_refused("llama", adapter, ErrorCode::TENSOR_SHAPE, {name, "[8, 3]", "[8, 2]"});
  adapter.tensors[name] = make_tensor({8, 2}, 9);
  adapter.tensors[name].values[3] = NAN;
  expect_refused("llama", adapter, ErrorCode::TENSOR_VALUE, {name, "flat index 3"});
  adapter.tensors.erase(name);
  expect_refused("llama", adapter, ErrorCode::TENSOR_MISSING, {"adapter_model.safetensors", name});
  Adapter leftover = tiny_adapter();
  leftover.add("model.layers.2.self_attn.q_proj", 8, 8, 2);
  expect_refused("llama", leftover, ErrorCode::UNSUPPORTED_ADAPTER,
                 {"adapter_model.safetensors", "model.layers.2.self_attn.q_proj"});
  Adapter foreign = tiny_adapter();
  foreign.config["target_modules"] = {"c_attn"};
  foreign.tensors.clear();
  expect_refused("llama", foreign, ErrorCode::UNSUPPORTED_ADAPTER, {"target_modules"});
}

TEST_CASE("adapter: malformed configurations") {
  const std::pair<const char*, json> options[] = {{"r", 0},
                                                  {"r", "8"},
                                                  {"lora_alpha", "x"},
                                                  {"target_modules", nullptr},
                                                  {"target_modules", {1}},
                                                  {"rank_pattern", {{"q_proj", 0}}},
                                                  {"rank_pattern", {1}},
                                                  {"alpha_pattern", {{"q_proj", "x"}}},
                                                  {"layers_to_transform", {-1}},
                                                  {"layers_pattern", 3}};
  for (const auto& [key, value] : options) {
    Adapter adapter = tiny_adapter();
    adapter.config[key] = value;
    expect_refused("llama", adapter, ErrorCode::CONFIG, {"adapter_config.json", key});
  }
}

}  // namespace
}  // namespace headspark
