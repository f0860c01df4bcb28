// model_fingerprint: what a result file stores to know later that it belongs to this model. It
// depends on weights and configuration, not on paths, sharding or header layout.
#include <cstdio>

#include "headspark/model.h"
#include "model/content_hash.h"
#include "model/mapped_checkpoint.h"

namespace headspark {
namespace {

std::string config_text(const ModelConfig& config) {
  std::string text = config.model_type;
  const auto add_integer = [&](std::int64_t value) {
    text.append(",").append(std::to_string(value));
  };
  const auto add_real = [&](double value) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, ",%.17g", value);
    text += buffer;
  };
  for (const std::int64_t value :
       {config.layers, config.heads, config.kv_heads, config.head_dim, config.hidden,
        config.intermediate, config.vocab, config.max_positions}) {
    add_integer(value);
  }
  add_integer(static_cast<int>(config.norm));
  add_integer(static_cast<int>(config.activation));
  for (const bool flag : {config.gated_mlp, config.parallel_block, config.qk_norm,
                          config.learned_positions, config.tied_embeddings}) {
    add_integer(flag ? 1 : 0);
  }
  add_integer(static_cast<int>(config.rotary.scaling));
  add_integer(config.rotary.rotary_dim);
  for (const double value :
       {static_cast<double>(config.norm_epsilon), static_cast<double>(config.attention_scale),
        config.rotary.theta, config.rotary.factor, config.rotary.low_frequency_factor,
        config.rotary.high_frequency_factor, config.rotary.original_max_positions}) {
    add_real(value);
  }
  if (config.rotary.scaling == RotaryScaling::yarn) {
    add_integer(config.rotary.whole_dimensions ? 1 : 0);
    add_real(config.rotary.fast_rotations);
    add_real(config.rotary.slow_rotations);
  }
  if (config.rotary.scaling == RotaryScaling::longrope) {
    for (const float divisor : config.rotary.frequency_divisors) add_real(divisor);
  }
  if (config.rotary.rotated_scale != 1.0f) add_real(config.rotary.rotated_scale);
  for (const std::uint8_t unrotated : config.unrotated) add_integer(unrotated);
  for (const std::uint8_t unscaled : config.unscaled) add_integer(unscaled);
  if (config.unscaled_theta != 0.0) add_real(config.unscaled_theta);
  for (const float scale : {config.embedding_scale, config.residual_scale, config.logits_divisor}) {
    if (scale != 1.0f) add_real(scale);
  }
  if (!config.windowed.empty()) add_integer(config.window);
  for (const std::uint8_t windowed : config.windowed) add_integer(windowed);
  return text;
}

ContentHash hash_floats(const std::vector<float>& values) {
  return hash_large(std::as_bytes(std::span(values.data(), values.size())));
}

/// Where each low-rank term sits, its scale and its numbers.
ContentHash add_low_rank(ContentHash hash, const std::string& place, const LinearWeight& linear) {
  if (linear.low_rank == nullptr) return hash;
  const LowRank& term = *linear.low_rank;
  const std::string text =
      place + "," + std::to_string(term.rank) + "," + std::to_string(f32_to_bits(term.scale));
  hash = combine_hashes(hash, hash_text(text));
  hash = combine_hashes(hash, hash_floats(factor_values(term.a)));
  return combine_hashes(hash, hash_floats(factor_values(term.b)));
}

}  // namespace

ContentHash MappedCheckpoint::content_hash() const {
  std::call_once(hashed_, [this] {
    for (const StoredTensor* tensor : used_) {
      hash_ = combine_hashes(hash_, hash_text(tensor->entry.name + "," + tensor->entry.dtype +
                                              shape_text(tensor->entry.shape)));
      hash_ = combine_hashes(hash_, hash_large({tensor->data, tensor->bytes()}));
    }
  });
  return hash_;
}

std::string model_fingerprint(const Model& model) {
  ContentHash hash = hash_text(config_text(model.config));
  if (!model.files.empty()) hash = combine_hashes(hash, model.files.front()->content_hash());
  for (std::size_t layer = 0; layer < model.layers.size(); ++layer) {
    const LayerWeights& weights = model.layers[layer];
    const std::string place = std::to_string(layer);
    hash = add_low_rank(hash, place + ".q", weights.q);
    hash = add_low_rank(hash, place + ".k", weights.k);
    hash = add_low_rank(hash, place + ".v", weights.v);
    hash = add_low_rank(hash, place + ".o", weights.o);
    hash = add_low_rank(hash, place + ".gate", weights.gate);
    hash = add_low_rank(hash, place + ".up", weights.up);
    hash = add_low_rank(hash, place + ".down", weights.down);
  }
  hash = add_low_rank(hash, "unembedding", model.unembedding);
  check_files(model);
  return hash_hex(hash);
}

}  // namespace headspark
