// What all architectures share in config.json: refusals, sizes, activation names.
#include "model/config_json.h"

#include <algorithm>
#include <cmath>

namespace headspark {
namespace {

void refuse_quantization(const JsonObject& json) {
  if (json.has("quantization_config")) {
    json.fail(
        "quantized weights (\"quantization_config\") are not supported; give the bf16, fp16 "
        "or fp32 checkpoint");
  }
}

void refuse_sliding_windows(const JsonObject& json, const ArchitectureSpec& spec) {
  if (spec.windows) return;
  if (json.boolean("use_sliding_window").value_or(false)) {
    json.fail(
        "sliding-window attention (\"use_sliding_window\": true) is not supported; only full "
        "attention is");
  }
  for (const std::string& type : json.texts("layer_types").value_or(std::vector<std::string>())) {
    if (type != "full_attention") {
      json.fail("\"layer_types\" has " + quote(type) + "; only \"full_attention\" is supported");
    }
  }
}

/// A classifier has no unembedding; reading one as a language model would compute nonsense.
void refuse_other_heads(const JsonObject& json, const ArchitectureSpec& spec) {
  for (const std::string& name : json.texts("architectures").value_or(std::vector<std::string>())) {
    if (spec.model_class != nullptr && name == spec.model_class) continue;
    if (name.ends_with("ForCausalLM") || name.ends_with("LMHeadModel") || name.ends_with("Model")) {
      continue;
    }
    json.fail("\"architectures\" names " + quote(name) + "; only causal language models are " +
              "supported");
  }
}

void check_config(const JsonObject& json, const ModelConfig& config) {
  if (config.heads % config.kv_heads != 0) {
    json.fail("the number of attention heads, " + std::to_string(config.heads) +
              ", is not a multiple of the number of key/value heads, " +
              std::to_string(config.kv_heads));
  }
  if (config.heads * config.head_dim > SizeLimits::width) {
    json.fail("the heads together are wider than " + std::to_string(SizeLimits::width));
  }
  if (!(config.norm_epsilon > 0.0f) || config.norm_epsilon > 1.0f) {
    json.fail("the epsilon of the norms must be above 0 and at most 1");
  }
}

}  // namespace

Activation read_activation(const JsonObject& json, const char* key, const char* otherwise) {
  const std::string name = json.text(key).value_or(otherwise);
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu_new" || name == "gelu_pytorch_tanh" || name == "gelu_fast") {
    return Activation::gelu_tanh;
  }
  if (name == "gelu") return Activation::gelu_erf;
  if (name == "relu") return Activation::relu;
  json.fail(std::string("\"") + key + "\" is " + quote(name) +
            "; supported are silu, swish, gelu, gelu_new, gelu_fast, gelu_pytorch_tanh and relu");
}

float attention_scale(const ModelConfig& config) {
  const double factor = config.rotary.attention_factor;  // of q and of k
  if (config.query_scale > 0.0) return static_cast<float>(factor * factor * config.query_scale);
  return static_cast<float>(factor * factor / std::sqrt(static_cast<double>(config.head_dim)));
}

void read_decoder_config(const JsonObject& json, std::int64_t head_dim_default, ModelConfig& config,
                         const RotaryDefaults& rotary) {
  config.layers = json.size("num_hidden_layers", SizeLimits::layers);
  config.heads = json.size("num_attention_heads", SizeLimits::heads);
  config.kv_heads = json.size_or("num_key_value_heads", SizeLimits::heads, config.heads);
  config.hidden = json.size("hidden_size", SizeLimits::width);
  config.intermediate = json.size("intermediate_size", SizeLimits::width);
  config.vocab = json.size("vocab_size", SizeLimits::vocab);
  config.max_positions = json.size("max_position_embeddings", SizeLimits::positions);
  config.head_dim = json.size_or("head_dim", SizeLimits::width, head_dim_default);
  if (config.head_dim == 0) {
    if (config.hidden % config.heads != 0) {
      json.fail(
          "\"hidden_size\" is not a multiple of \"num_attention_heads\" and there is no "
          "\"head_dim\"");
    }
    config.head_dim = config.hidden / config.heads;
  }
  config.norm = NormKind::rms;
  config.norm_epsilon = static_cast<float>(json.number("rms_norm_eps").value_or(1e-6));
  config.activation = read_activation(json, "hidden_act", "silu");
  config.gated_mlp = true;
  config.tied_embeddings = json.boolean("tie_word_embeddings").value_or(false);
  read_rotary(json, rotary, config);
}

std::vector<std::uint8_t> every_layer(const ModelConfig& config) {
  return std::vector<std::uint8_t>(static_cast<std::size_t>(config.layers), 1);
}

bool any_layer(const std::vector<std::uint8_t>& layers) {
  return std::ranges::find(layers, 1) != layers.end();
}

std::vector<std::uint8_t> windowed_layers(const JsonObject& json, const ModelConfig& config,
                                          std::vector<std::uint8_t> otherwise) {
  const auto types = json.texts("layer_types");
  if (!types) return otherwise;
  if (std::ssize(*types) < config.layers) {
    json.fail("\"layer_types\" must name the attention of each of the " +
              std::to_string(config.layers) + " layers");
  }
  std::vector<std::uint8_t> windowed;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::string& type = (*types)[static_cast<std::size_t>(layer)];
    if (type != "sliding_attention" && type != "full_attention") {
      json.fail("\"layer_types\" has " + quote(type) +
                "; only \"full_attention\" and \"sliding_attention\" are supported");
    }
    windowed.push_back(type == "sliding_attention" ? 1 : 0);
  }
  return windowed;
}

void read_window(const JsonObject& json, std::optional<std::int64_t> otherwise,
                 std::vector<std::uint8_t> windowed, ModelConfig& config) {
  if (!any_layer(windowed)) return;
  const bool given = json.has("sliding_window");
  const bool unbounded = !given && json.json().contains("sliding_window");  // null
  if (unbounded || (!given && !otherwise)) return;
  const std::int64_t window =
      json.size_or("sliding_window", SizeLimits::positions, otherwise.value_or(0));
  if (window >= config.max_positions) return;
  config.window = window;
  config.windowed = std::move(windowed);
}

bool uses_windows(const JsonObject& json, const ModelConfig& config) {
  if (json.boolean("use_sliding_window").value_or(false)) return true;
  if (any_layer(windowed_layers(json, config, {}))) {
    json.fail("\"layer_types\" has \"sliding_attention\", but \"use_sliding_window\" is not true");
  }
  return false;
}

void read_qwen_windows(const JsonObject& json, ModelConfig& config) {
  if (!uses_windows(json, config)) return;
  // Qwen2Config's, where keys are missing.
  constexpr std::int64_t window = 4096;
  constexpr std::int64_t whole_layers = 28;
  const std::int64_t first = json.integer("max_window_layers").value_or(whole_layers);
  std::vector<std::uint8_t> windowed;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    windowed.push_back(layer >= first ? 1 : 0);
  }
  read_window(json, window, windowed_layers(json, config, std::move(windowed)), config);
}

BiasRule read_biases(const JsonObject& json) {
  const bool bias = json.boolean("attention_bias").value_or(false);
  const bool mlp_bias = json.boolean("mlp_bias").value_or(false);
  return {.qkv = bias, .attention_output = bias, .mlp = mlp_bias};
}

ParsedConfig parse_config(std::span<const std::byte> text, const std::string& source) {
  const nlohmann::json value = parse_json(text, source, ErrorCode::CONFIG);
  const JsonObject json(value, source, ErrorCode::CONFIG);
  const std::optional<std::string> model_type = json.text("model_type");
  if (!model_type) json.fail("\"model_type\" is missing; it says which architecture this is");
  ParsedConfig parsed;
  parsed.spec = find_architecture(*model_type);
  if (parsed.spec == nullptr) {
    throw Error(ErrorCode::UNSUPPORTED_ARCHITECTURE,
                source + ": model_type " + quote(*model_type) +
                    " is not supported; these are: " + supported_architectures() + ".");
  }
  refuse_quantization(json);
  refuse_sliding_windows(json, *parsed.spec);
  refuse_other_heads(json, *parsed.spec);
  parsed.config.architecture = parsed.spec->architecture;
  parsed.config.model_type = *model_type;
  parsed.bias = parsed.spec->read_config(json, parsed.config);
  place_attention_factor(parsed.config);
  check_config(json, parsed.config);
  return parsed;
}

}  // namespace headspark
