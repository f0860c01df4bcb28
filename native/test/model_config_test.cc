// config.json: both dialects read alike, and what we do not compute is refused by name.
#include <cmath>
#include <span>

#include "model/config_json.h"
#include "model_files.h"

namespace headspark {
namespace {

using files::expect_error;
using files::parse;
using files::tiny_checkpoint;
using nlohmann::json;

struct Change {
  const char* model_type;
  const char* key;
  json value;
  std::vector<std::string> parts;  ///< what the message must have
};

TEST_CASE("config: transformers 4 and 5 dialects agree") {
  json old_style = tiny_checkpoint("llama").config;
  old_style["torch_dtype"] = "bfloat16";
  old_style["rope_theta"] = 500000.0;
  const json scaling = {{"rope_type", "llama3"},
                        {"factor", 8.0},
                        {"low_freq_factor", 1.0},
                        {"high_freq_factor", 4.0},
                        {"original_max_position_embeddings", 16}};
  old_style["rope_scaling"] = scaling;
  json new_style = tiny_checkpoint("llama").config;
  new_style.erase("rope_theta");
  new_style["dtype"] = "bfloat16";
  new_style["rope_parameters"] = scaling;
  new_style["rope_parameters"]["rope_theta"] = 500000.0;
  for (const json& value : {old_style, new_style}) {
    const ModelConfig config = parse(value);
    CHECK(config.rotary.theta == 500000.0);
    CHECK(config.rotary.scaling == RotaryScaling::llama3);
    CHECK(config.rotary.factor == 8.0);
    CHECK(config.rotary.original_max_positions == 16);
    CHECK(config.rotary.rotary_dim == 2);
    CHECK(config.kv_heads == 2);
    CHECK(config.head_dim == 2);
  }
  old_style["rope_scaling"] = {{"type", "linear"}, {"factor", 2.5}};
  CHECK(parse(old_style).rotary.scaling == RotaryScaling::linear);
  CHECK(parse(old_style).rotary.factor == 2.5);
}

TEST_CASE("config: yarn, its defaults, and what it does to the attention's scale") {
  json config = tiny_checkpoint("llama").config;
  const double positions = parse(config).max_positions;
  const float plain = parse(config).attention_scale;
  config["rope_scaling"] = {{"type", "yarn"}, {"factor", 4.0}};
  const ModelConfig defaults = parse(config);
  CHECK(defaults.rotary.scaling == RotaryScaling::yarn);
  CHECK(defaults.rotary.original_max_positions == positions);
  CHECK(defaults.rotary.fast_rotations == 32.0);
  CHECK(defaults.rotary.slow_rotations == 1.0);
  CHECK(defaults.rotary.whole_dimensions);
  CHECK(defaults.rotary.attention_factor == doctest::Approx(1.1386294361119891));
  CHECK(defaults.attention_scale == doctest::Approx(plain * 1.2964769925));

  // Without a factor, the positions say it.
  config["rope_scaling"] = {
      {"rope_type", "yarn"},  {"original_max_position_embeddings", positions / 8},
      {"beta_fast", 16},      {"beta_slow", 2},
      {"truncate", false},    {"mscale", 1.0},
      {"mscale_all_dim", 0.5}};
  const ModelConfig named = parse(config);
  CHECK(named.rotary.factor == 8.0);
  CHECK(named.rotary.original_max_positions == positions / 8);
  CHECK(named.rotary.fast_rotations == 16.0);
  CHECK(named.rotary.slow_rotations == 2.0);
  CHECK(!named.rotary.whole_dimensions);
  CHECK(named.rotary.attention_factor == doctest::Approx(1.2079441542 / 1.1039720771));
  config["rope_scaling"]["attention_factor"] = 1.0;
  CHECK(parse(config).attention_scale == plain);
  config["original_max_position_embeddings"] = positions / 2;
  CHECK(parse(config).rotary.factor == 2.0);
}

TEST_CASE("config: yarn on a part of each head scales the rotation instead") {
  json config = tiny_checkpoint("gpt_neox").config;
  config["num_attention_heads"] = 2;
  const float plain = parse(config).attention_scale;
  config.erase("rotary_pct");
  config["rope_parameters"] = {
      {"rope_type", "yarn"}, {"factor", 4.0}, {"partial_rotary_factor", 0.5}};
  const ModelConfig part = parse(config);
  CHECK(part.rotary.rotary_dim == 2);
  CHECK(part.rotary.rotated_scale == doctest::Approx(1.1386294361119891));
  CHECK(part.attention_scale == plain);
}

TEST_CASE("config: the window of mistral is in all layers") {
  json config = tiny_checkpoint("llama").config;
  config["model_type"] = "mistral";
  config["max_position_embeddings"] = 32768;
  const ModelConfig usual = parse(config);
  CHECK(usual.max_positions == 32768);
  for (std::int64_t layer = 0; layer < usual.layers; ++layer) {
    CHECK(usual.window_of(layer) == 4096);
  }
  config["sliding_window"] = 512;
  CHECK(parse(config).window_of(1) == 512);
  config["sliding_window"] = 32768;  // no position leaves it
  CHECK(parse(config).window_of(1) == 0);
  config["sliding_window"] = nullptr;
  CHECK(parse(config).window_of(1) == 0);
  config["sliding_window"] = 0;
  expect_error(ErrorCode::CONFIG, {"sliding_window"}, [&] { parse(config); });
}

TEST_CASE("config: longrope up to its original positions") {
  json config = tiny_checkpoint("phi3").config;
  CHECK(parse(config).max_positions == 32);
  config["sliding_window"] = 20;
  CHECK(parse(config).max_positions == 32);
  CHECK(parse(config).window_of(0) == 20);
  config.erase("sliding_window");
  CHECK(parse(config).window_of(0) == 0);
  config["max_position_embeddings"] = 64;
  config["original_max_position_embeddings"] = 16;
  CHECK(parse(config).max_positions == 64);  // nothing is scaled
  for (const char* type : {"longrope", "su", "yarn"}) {
    config["rope_scaling"] = {{"type", type}, {"short_factor", {1.5}}, {"long_factor", {8}}};
    const ModelConfig whole = parse(config);
    CHECK(whole.rotary.scaling == RotaryScaling::longrope);
    CHECK(whole.rotary.factor == 4.0);
    CHECK(whole.rotary.frequency_divisors == std::vector<float>{1.5f});
    CHECK(whole.max_positions == 16);
    CHECK(whole.rotary.attention_factor == doctest::Approx(std::sqrt(1.5)));  // 1 + ln 4 / ln 16
    CHECK(whole.rotary.rotated_scale == 1.0f);
    CHECK(whole.attention_scale == doctest::Approx(1.5 / std::sqrt(2.0)));
  }
  config["rope_scaling"]["attention_factor"] = 1.25;
  CHECK(parse(config).rotary.attention_factor == 1.25);
  config["head_dim"] = 4;
  config["partial_rotary_factor"] = 0.5;
  const ModelConfig part = parse(config);
  CHECK(part.rotary.rotary_dim == 2);
  CHECK(part.rotary.rotated_scale == 1.25f);
  CHECK(part.attention_scale == 0.5f);
  config["model_type"] = "llama";
  expect_error(ErrorCode::CONFIG, {"partial rotary factor"}, [&] { parse(config); });
}

TEST_CASE("config: layers of smollm3 that do not rotate") {
  json config = tiny_checkpoint("llama").config;
  config["model_type"] = "smollm3";
  config["num_hidden_layers"] = 5;
  config.erase("tie_word_embeddings");
  config.erase("rope_theta");
  config.erase("rope_scaling");
  using Layers = std::vector<std::uint8_t>;
  CHECK(parse(config).unrotated == Layers{0, 0, 0, 1, 0});
  CHECK(parse(config).tied_embeddings);
  CHECK(parse(config).rotary.theta == 2000000.0);
  CHECK(parse(config).rotates(2));
  CHECK(!parse(config).rotates(3));
  config["no_rope_layer_interval"] = 2;
  CHECK(parse(config).unrotated == Layers{0, 1, 0, 1, 0});
  config["no_rope_layers"] = {0, 1, 1, 1, 0, 1};
  CHECK(parse(config).unrotated == Layers{1, 0, 0, 0, 1});
  for (const json& bad :
       {json{1, 1, 1, 1}, json{1, 1, 2, 1, 1}, json("1"), json{1, 1, "1", 1, 1}}) {
    config["no_rope_layers"] = bad;
    expect_error(ErrorCode::CONFIG, {"no_rope_layers"}, [&] { parse(config); });
  }
  // YaRN's attention factor is of the layers that rotate, so that the scale of all is without it.
  config["no_rope_layers"] = {1, 1, 1, 0, 1};
  const float plain_scale = parse(config).attention_scale;
  config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 4.0}, {"attention_factor", 1.25}};
  CHECK(parse(config).rotary.rotated_scale == 1.25f);
  CHECK(parse(config).attention_scale == plain_scale);
  config.erase("rope_scaling");
  config["no_rope_layers"] = nullptr;
  config["use_sliding_window"] = true;
  CHECK(parse(config).windowed.empty());  // without a window
  config["sliding_window"] = 4;
  CHECK(parse(config).windowed == Layers{0, 1, 0, 1, 0});
  CHECK(parse(config).window == 4);
}

TEST_CASE("config: windows of qwen2 and qwen3") {
  for (const char* type : {"qwen2", "qwen3"}) {
    json config = tiny_checkpoint(type).config;
    config["num_hidden_layers"] = 30;
    config["max_position_embeddings"] = 8192;
    config["max_window_layers"] = 27;
    config["sliding_window"] = 512;
    CHECK(parse(config).windowed.empty());
    config["use_sliding_window"] = true;
    CHECK(parse(config).window_of(26) == 0);
    CHECK(parse(config).window_of(27) == 512);
    CHECK(parse(config).window_of(29) == 512);
    config["max_window_layers"] = 0;
    CHECK(parse(config).window_of(0) == 512);
    config.erase("max_window_layers");
    config.erase("sliding_window");
    CHECK(parse(config).window_of(27) == 0);
    CHECK(parse(config).window_of(28) == 4096);
    config["layer_types"] = json(30, "full_attention");
    config["layer_types"][3] = "sliding_attention";
    CHECK(parse(config).window_of(3) == 4096);
    CHECK(parse(config).window_of(28) == 0);
    config["use_sliding_window"] = false;
    expect_error(ErrorCode::CONFIG, {"layer_types", "use_sliding_window"}, [&] { parse(config); });
    config["max_window_layers"] = "all";
    config["use_sliding_window"] = true;
    expect_error(ErrorCode::CONFIG, {"max_window_layers"}, [&] { parse(config); });
  }
}

TEST_CASE("config: what is particular to an architecture") {
  const ModelConfig gpt2 = parse(tiny_checkpoint("gpt2").config);
  CHECK(gpt2.learned_positions);
  CHECK(gpt2.tied_embeddings);
  CHECK(gpt2.intermediate == 32);
  CHECK(gpt2.activation == Activation::gelu_tanh);
  CHECK(gpt2.norm == NormKind::layer);
  CHECK(gpt2.rotary.rotary_dim == 0);
  json neox = tiny_checkpoint("gpt_neox").config;
  CHECK(parse(neox).parallel_block);
  CHECK(parse(neox).activation == Activation::gelu_erf);
  neox["use_parallel_residual"] = false;
  neox["num_attention_heads"] = 2;
  neox["rotary_pct"] = 0.5;
  neox["rotary_emb_base"] = 20000;
  CHECK(!parse(neox).parallel_block);
  CHECK(parse(neox).rotary.rotary_dim == 2);
  CHECK(parse(neox).rotary.theta == 20000.0);
  const ModelConfig qwen3 = parse(tiny_checkpoint("qwen3").config);
  CHECK(qwen3.qk_norm);
  CHECK(qwen3.head_dim == 4);
  CHECK(qwen3.attention_scale == 0.5f);
  json olmo2 = tiny_checkpoint("olmo2").config;
  CHECK(parse(olmo2).norm_epsilon == 1e-5f);
  CHECK(parse(tiny_checkpoint("llama").config).norm_epsilon == 1e-6f);
  CHECK(!qwen3.post_norm);
  olmo2["attention_bias"] = true;
  expect_error(ErrorCode::CONFIG, {"attention_bias"}, [&] { parse(olmo2); });
  json gpt2_unscaled = tiny_checkpoint("gpt2").config;
  gpt2_unscaled["scale_attn_weights"] = false;
  CHECK(parse(gpt2_unscaled).attention_scale == 1.0f);
}

TEST_CASE("config: activation names") {
  for (const auto& [name, activation] :
       std::vector<std::pair<std::string, Activation>>{{"silu", Activation::silu},
                                                       {"swish", Activation::silu},
                                                       {"gelu", Activation::gelu_erf},
                                                       {"gelu_new", Activation::gelu_tanh},
                                                       {"gelu_fast", Activation::gelu_tanh},
                                                       {"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                       {"relu", Activation::relu}}) {
    json config = tiny_checkpoint("qwen2").config;
    config["hidden_act"] = name;
    CHECK(parse(config).activation == activation);
  }
}

TEST_CASE("config: what changes the computation is refused by name") {
  const Change changes[] = {
      {"llama", "use_sliding_window", true, {"use_sliding_window"}},
      {"llama", "layer_types", {"full_attention", "sliding_attention"}, {"sliding_attention"}},
      {"qwen3", "layer_types", {"full_attention", "sliding_attention"}, {"use_sliding_window"}},
      {"llama", "quantization_config", {{"bits", 4}}, {"quantization_config"}},
      {"llama", "rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2}}, {"dynamic"}},
      {"llama", "rope_scaling", {{"type", "yarn"}, {"factor", -2}}, {"factor"}},
      {"llama", "rope_scaling", {{"type", "yarn"}, {"beta_fast", 0}}, {"beta_fast"}},
      {"llama", "rope_scaling", {{"type", "yarn"}, {"beta_slow", 1e-308}}, {"beta_slow", "sane"}},
      {"llama", "rope_scaling", {{"type", "yarn"}, {"attention_factor", 1e200}}, {"million"}},
      {"llama", "rope_scaling", {{"type", "yarn"}, {"attention_factor", 0}}, {"attention_factor"}},
      {"llama",
       "rope_scaling",
       {{"type", "yarn"}, {"factor", 4.0}, {"mscale", -20.0}, {"mscale_all_dim", 1.0}},
       {"attention factor"}},
      {"phi3", "rope_scaling", {{"type", "longrope"}}, {"short_factor"}},
      {"phi3",
       "rope_scaling",
       {{"type", "su"}, {"short_factor", {1, 2}}},
       {"2 numbers", "1 pairs"}},
      {"phi3", "rope_scaling", {{"type", "su"}, {"short_factor", {0}}}, {"short_factor", "0"}},
      {"phi3", "rope_scaling", {{"type", "su"}, {"short_factor", {"1"}}}, {"short_factor"}},
      {"phi3", "rope_scaling", {{"type", "su"}, {"short_factor", {1e39}}}, {"short_factor"}},
      {"phi3", "partial_rotary_factor", 0.3, {"rotated dimensions"}},
      {"llama", "rope_scaling", {{"rope_type", "llama3"}, {"factor", 2}}, {"low_freq_factor"}},
      {"llama", "rope_parameters", {{"full_attention", json::object()}}, {"full_attention"}},
      {"llama", "partial_rotary_factor", 0.5, {"partial rotary factor"}},
      {"llama", "hidden_act", "mish", {"hidden_act", "mish"}},
      {"llama", "architectures", {"LlamaForSequenceClassification"}, {"SequenceClassification"}},
      {"gpt2", "scale_attn_by_inverse_layer_idx", true, {"scale_attn_by_inverse_layer_idx"}},
      {"gpt2", "add_cross_attention", true, {"add_cross_attention"}},
      {"gpt_neox", "rotary_pct", 0.3, {"rotated dimensions"}},
  };
  for (const Change& change : changes) {
    json config = tiny_checkpoint(change.model_type).config;
    config[change.key] = change.value;
    std::vector<std::string> parts = change.parts;
    parts.push_back("config.json");
    expect_error(ErrorCode::CONFIG, parts, [&] { parse(config); });
  }
}

TEST_CASE("config: sizes that are wrong or not sane") {
  const Change changes[] = {
      {"llama", "num_hidden_layers", 0, {"num_hidden_layers", "0"}},
      {"llama", "num_hidden_layers", 1e9, {"num_hidden_layers"}},
      {"llama", "num_hidden_layers", nullptr, {"num_hidden_layers", "missing"}},
      {"llama", "hidden_size", -8, {"hidden_size", "-8"}},
      {"llama", "hidden_size", "8", {"hidden_size", "integer"}},
      {"llama", "vocab_size", 18446744073709551615ull, {"vocab_size"}},
      {"llama", "num_key_value_heads", 3, {"multiple"}},
      {"llama", "num_attention_heads", 3, {"num_attention_heads"}},
      {"llama", "rms_norm_eps", 0, {"epsilon"}},
      {"llama", "rms_norm_eps", "x", {"rms_norm_eps"}},
      {"llama", "tie_word_embeddings", 1, {"tie_word_embeddings"}},
      {"llama", "head_dim", 3, {"rotated dimensions"}},
      {"llama", "rope_theta", -1, {"rotary"}},
      {"llama", "model_type", nullptr, {"model_type"}},
      {"gpt2", "n_head", 3, {"n_embd"}},
  };
  for (const Change& change : changes) {
    json config = tiny_checkpoint(change.model_type).config;
    config[change.key] = change.value;
    expect_error(ErrorCode::CONFIG, change.parts, [&] { parse(config); });
  }
}

TEST_CASE("config: unknown architectures and broken JSON") {
  json config = tiny_checkpoint("llama").config;
  config["model_type"] = "mamba";
  expect_error(ErrorCode::UNSUPPORTED_ARCHITECTURE, {"mamba", "gpt_neox"}, [&] { parse(config); });
  for (const std::string text : {"", "{", "[]", "{\"a\":1,\"a\":2}", "\xff"}) {
    expect_error(ErrorCode::CONFIG, {"config.json"}, [&] {
      parse_config(std::as_bytes(std::span(text.data(), text.size())), "config.json");
    });
  }
}

}  // namespace
}  // namespace headspark
