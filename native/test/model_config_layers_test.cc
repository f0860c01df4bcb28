// config.json of architectures whose layers, norms or factors are not Llama's.
#include <cmath>

#include "model_files.h"

namespace headspark {
namespace {

using files::expect_error;
using files::parse;
using files::tiny_checkpoint;
using nlohmann::json;

TEST_CASE("config: windows of olmo3, which are not scaled") {
  json config = tiny_checkpoint("olmo2").config;
  config["model_type"] = "olmo3";
  config["num_hidden_layers"] = 5;
  config["max_position_embeddings"] = 65536;
  using Layers = std::vector<std::uint8_t>;
  const ModelConfig plain = parse(config);
  CHECK(plain.post_norm);
  CHECK(plain.max_positions == 65536);
  CHECK(plain.window == 4096);
  CHECK(plain.windowed == Layers{1, 1, 1, 0, 1});
  CHECK(plain.unscaled.empty());  // there is no scaling
  config["rope_scaling"] = {{"rope_type", "yarn"},
                            {"factor", 8.0},
                            {"attention_factor", 1.25},
                            {"original_max_position_embeddings", 8192}};
  config["sliding_window"] = 512;
  const ModelConfig scaled = parse(config);
  CHECK(scaled.window_of(2) == 512);
  CHECK(scaled.window_of(3) == 0);
  CHECK(scaled.unscaled == Layers{1, 1, 1, 0, 1});
  CHECK(scaled.rotary.scaling == RotaryScaling::yarn);
  CHECK(scaled.rotary.original_max_positions == 8192.0);
  CHECK(scaled.attention_scale == plain.attention_scale);
  CHECK(scaled.rotated_scale(3) == 1.25f);
  CHECK(scaled.rotated_scale(4) == 1.0f);
  const json full = "full_attention";
  const json sliding = "sliding_attention";
  config["layer_types"] = {full, full, sliding, full, full};
  CHECK(parse(config).unscaled == Layers{0, 0, 1, 0, 0});
  CHECK(parse(config).windowed == Layers{0, 0, 1, 0, 0});
  config["layer_types"] = {full, full, full, full, full};
  CHECK(parse(config).windowed.empty());
  CHECK(parse(config).rotary.attention_factor == 1.25);
  config["layer_types"] = nullptr;
  json by_layer = config;
  by_layer.erase("rope_scaling");
  by_layer.erase("rope_theta");
  by_layer["rope_parameters"] = {{"full_attention", config["rope_scaling"]},
                                 {"sliding_attention", {{"rope_type", "default"}}}};
  CHECK(parse(by_layer).unscaled == scaled.unscaled);
  CHECK(parse(by_layer).rotary.factor == 8.0);
  CHECK(parse(by_layer).rotary.theta == 500000.0);
  by_layer["rope_parameters"]["full_attention"]["rope_theta"] = 10000.0;
  expect_error(ErrorCode::CONFIG, {"rope_theta"}, [&] { parse(by_layer); });
  by_layer["rope_parameters"]["sliding_attention"] = config["rope_scaling"];
  expect_error(ErrorCode::CONFIG, {"sliding_attention"}, [&] { parse(by_layer); });
  by_layer["rope_parameters"]["sliding_attention"] = "none";
  expect_error(ErrorCode::CONFIG, {"rope parameters"}, [&] { parse(by_layer); });
  for (const json& bad : {json{full, full, full, full}, json{full, full, "linear", full, full}}) {
    config["layer_types"] = bad;
    expect_error(ErrorCode::CONFIG, {"layer_types"}, [&] { parse(config); });
  }
}

TEST_CASE("config: gemma3, with and without a vision tower") {
  json text = tiny_checkpoint("gemma3_text").config;
  text["num_hidden_layers"] = 7;
  text["max_position_embeddings"] = 32768;
  using Layers = std::vector<std::uint8_t>;
  const ModelConfig plain = parse(text);
  CHECK(plain.pre_norm);
  CHECK(plain.post_norm);
  CHECK(plain.norms_writes());
  CHECK(plain.qk_norm);
  CHECK(!plain.qk_norm_together);
  CHECK(plain.tied_embeddings);
  CHECK(plain.activation == Activation::gelu_tanh);
  CHECK(plain.embedding_scale == std::sqrt(8.0f));
  CHECK(plain.attention_scale == 0.0625f);  // 256, whatever head_dim is
  CHECK(plain.windowed == Layers{1, 1, 1, 1, 1, 0, 1});
  CHECK(plain.unscaled == plain.windowed);
  CHECK(plain.window == 4096);
  CHECK(plain.rotary.theta == 10000.0);  // the file's
  CHECK(plain.unscaled_theta == 10000.0);
  text.erase("rope_theta");
  CHECK(parse(text).rotary.theta == 1e6);
  text["sliding_window_pattern"] = 2;
  text["query_pre_attn_scalar"] = 64;
  text["rope_local_base_freq"] = 5000.0;
  text["sliding_window"] = 512;
  text["rope_scaling"] = {{"rope_type", "linear"}, {"factor", 8.0}};
  const ModelConfig older = parse(text);
  CHECK(older.windowed == Layers{1, 0, 1, 0, 1, 0, 1});
  CHECK(older.attention_scale == 0.125f);
  CHECK(older.unscaled_theta == 5000.0);
  CHECK(older.window_of(0) == 512);
  CHECK(older.rotary.scaling == RotaryScaling::linear);
  CHECK(older.rotary.factor == 8.0);
  json newer = text;
  newer.erase("rope_scaling");
  newer.erase("rope_local_base_freq");
  newer["rope_parameters"] = {
      {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}, {"rope_theta", 1e6}}},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 5000.0}}}};
  CHECK(parse(newer).unscaled_theta == 5000.0);
  CHECK(parse(newer).rotary.factor == 8.0);
  CHECK(parse(newer).rotary.theta == 1e6);
  json vision = {{"model_type", "gemma3"},
                 {"architectures", {"Gemma3ForConditionalGeneration"}},
                 {"text_config", {{"num_hidden_layers", 34}, {"hidden_size", 2560}}}};
  const ModelConfig decoder = parse(vision);
  CHECK(decoder.layers == 34);
  CHECK(decoder.heads == 8);
  CHECK(decoder.kv_heads == 4);
  CHECK(decoder.head_dim == 256);
  CHECK(decoder.vocab == 262208);
  CHECK(decoder.tied_embeddings);
  vision["tie_word_embeddings"] = false;
  CHECK(!parse(vision).tied_embeddings);
  for (const json& bad : {json(), json("none")}) {
    vision["text_config"] = bad;
    expect_error(ErrorCode::CONFIG, {"text_config"}, [&] { parse(vision); });
  }
  newer["rope_parameters"] = {{"rope_type", "default"}};
  expect_error(ErrorCode::CONFIG, {"full_attention"}, [&] { parse(newer); });
  newer["rope_parameters"] = {{"full_attention", 3}};
  newer["rope_scaling"] = {{"factor", 2.0}};
  expect_error(ErrorCode::CONFIG, {"rope parameters"}, [&] { parse(newer); });
  const std::pair<const char*, json> refused[] = {
      {"attn_logit_softcapping", 50.0},      {"final_logit_softcapping", 30.0},
      {"use_bidirectional_attention", true}, {"attention_bias", true},
      {"query_pre_attn_scalar", 0},          {"rope_local_base_freq", 1.0}};
  for (const auto& [key, value] : refused) {
    json bad = text;
    bad[key] = value;
    const std::string name = std::string(key) == "rope_local_base_freq" ? "windows" : key;
    expect_error(ErrorCode::CONFIG, {name}, [&] { parse(bad); });
  }
}

TEST_CASE("config: granite's factors") {
  json config = tiny_checkpoint("llama").config;
  config["model_type"] = "granite";
  const ModelConfig plain = parse(config);
  CHECK(!plain.post_norm);
  CHECK(plain.attention_scale == 1.0f);  // GraniteConfig's
  config["embedding_multiplier"] = 12.0;
  config["residual_multiplier"] = 0.22;
  config["attention_multiplier"] = 0.015625;
  config["logits_scaling"] = 8.0;
  const ModelConfig scaled = parse(config);
  CHECK(scaled.embedding_scale == 12.0f);
  CHECK(scaled.residual_scale == 0.22f);
  CHECK(scaled.attention_scale == 0.015625f);
  CHECK(scaled.logits_divisor == 8.0f);
  CHECK(scaled.post_norm);
  CHECK(!scaled.norms_writes());
  CHECK(scaled.pre_norm);
  json biased = config;
  biased["attention_bias"] = true;
  expect_error(ErrorCode::CONFIG, {"attention_bias"}, [&] { parse(biased); });
  for (const char* key :
       {"embedding_multiplier", "residual_multiplier", "attention_multiplier", "logits_scaling"}) {
    json bad = config;
    bad[key] = 0.0;
    expect_error(ErrorCode::CONFIG, {key}, [&] { parse(bad); });
  }
}

}  // namespace
}  // namespace headspark
