// One checkpoint: its configuration and its weights, read in place from memory-mapped safetensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "headspark/ops/mlp_activation.h"
#include "headspark/ops/norm.h"
#include "headspark/ops/rotary.h"
#include "headspark/run_control.h"
#include "headspark/weight.h"

namespace headspark {

enum class Architecture {
  qwen2,
  qwen3,
  llama,
  smollm3,
  mistral,
  phi3,
  olmo2,
  olmo3,
  gemma3,
  gemma3_text,
  granite,
  gpt2,
  gpt_neox
};

enum class RotaryScaling { none, linear, llama3, yarn, longrope };

struct RotaryConfig {
  std::int64_t rotary_dim = 0;  ///< rotated dimensions of a head; 0: no rotary
  double theta = 10000.0;
  RotaryScaling scaling = RotaryScaling::none;
  double factor = 1.0;
  double low_frequency_factor = 1.0;
  double high_frequency_factor = 4.0;
  double original_max_positions = 8192;
  // Of yarn: the rotations over the original positions between which frequencies are blended.
  double fast_rotations = 32.0;
  double slow_rotations = 1.0;
  bool whole_dimensions = true;  ///< the dimensions that those belong to are rounded outwards
  /// Of longrope, [rotary_dim / 2]: what each pair's frequency is divided by.
  std::vector<float> frequency_divisors = {};
  /// What yarn and longrope multiply cosines and sines by. Not in the tables: attention_scale has
  /// its square where whole heads rotate the same in all layers, else it is the scale of rotations.
  double attention_factor = 1.0;
  float rotated_scale = 1.0f;
};

struct ModelConfig {
  Architecture architecture = Architecture::llama;
  std::string model_type;  ///< as in config.json
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t hidden = 0;
  std::int64_t intermediate = 0;
  std::int64_t vocab = 0;
  std::int64_t max_positions = 0;
  NormKind norm = NormKind::rms;
  float norm_epsilon = 1e-6f;
  Activation activation = Activation::silu;
  bool gated_mlp = true;
  bool parallel_block = false;     ///< attention and MLP read the same residual (GPT-NeoX)
  bool qk_norm = false;            ///< Qwen3, OLMo 2, Gemma 3
  bool qk_norm_together = false;   ///< over all heads of q, and of k, instead of each (OLMo 2)
  bool pre_norm = true;            ///< norms stand before attention and MLP (all but OLMo 2)
  bool post_norm = false;          ///< and after them: norms (OLMo 2, Gemma 3) or a fixed factor
  bool learned_positions = false;  ///< GPT-2
  bool tied_embeddings = false;
  float embedding_scale = 1.0f;  ///< of token embeddings (Gemma 3, Granite)
  float residual_scale = 1.0f;   ///< of what attention and MLP add to the stream (Granite)
  float logits_divisor = 1.0f;   ///< of the unembedding's products (Granite)
  double query_scale = 0.0;      ///< of scores, but for rotations' factor; 0: 1 / sqrt(head_dim)
  float attention_scale = 0.0f;
  RotaryConfig rotary;
  /// [layers] 1 where queries and keys are not rotated (SmolLM3's NoPE layers); empty: all are.
  std::vector<std::uint8_t> unrotated;
  /// [layers] 1 where they rotate without the model's scaling (windows of OLMo 3 and Gemma 3);
  /// empty: nowhere.
  std::vector<std::uint8_t> unscaled;
  double unscaled_theta = 0.0;  ///< by a base of their own; 0: the model's
  /// [layers] 1 where attention has a sliding window; empty: nowhere.
  std::vector<std::uint8_t> windowed;
  std::int64_t window = 0;  ///< tokens that a query sees there, its own among them

  bool rotates(std::int64_t layer) const {
    return unrotated.empty() || unrotated[static_cast<std::size_t>(layer)] == 0;
  }
  bool scales_rotation(std::int64_t layer) const {
    return unscaled.empty() || unscaled[static_cast<std::size_t>(layer)] == 0;
  }
  /// Tokens that a query of a layer sees; 0: all up to its own.
  std::int64_t window_of(std::int64_t layer) const {
    return !windowed.empty() && windowed[static_cast<std::size_t>(layer)] != 0 ? window : 0;
  }
  /// Whether what heads of a layer write goes through one norm, by which it depends on all of them.
  bool norms_writes() const { return post_norm && residual_scale == 1.0f; }
  /// What rotations of a layer are multiplied by.
  float rotated_scale(std::int64_t layer) const {
    return scales_rotation(layer) ? rotary.rotated_scale : 1.0f;
  }
  /// Nodes of the computational graph (method, section 2).
  std::int64_t sources() const { return 1 + layers * (heads + 1); }
};

struct LayerWeights {
  NormWeight attention_norm;  ///< fixed, of ones, where norms stand after alone
  NormWeight mlp_norm;
  /// Where norms stand after, or fixed ones of config.residual_scale; else empty.
  NormWeight attention_post_norm;
  NormWeight mlp_post_norm;
  /// The weight of attention_post_norm as a fixed norm: what heads' writes are multiplied by.
  NormWeight head_write_gain;
  NormWeight q_norm;  ///< [head_dim] (Qwen3, Gemma 3), [heads * head_dim] (OLMo 2), or empty
  NormWeight k_norm;
  /// k_norm for keys of each query head: [heads * head_dim] of OLMo 2; else the same.
  NormWeight k_norm_each;
  LinearWeight q;  ///< [heads * head_dim, hidden]
  LinearWeight k;  ///< [kv_heads * head_dim, hidden]
  LinearWeight v;
  LinearWeight o;     ///< [hidden, heads * head_dim]
  LinearWeight gate;  ///< [intermediate, hidden]; empty when the MLP is not gated
  LinearWeight up;    ///< [intermediate, hidden]
  LinearWeight down;  ///< [hidden, intermediate]
};

class MappedCheckpoint;  // keeps the files mapped (src/model)

struct Model {
  ModelConfig config;
  std::vector<LayerWeights> layers;
  WeightView embedding;           ///< [vocab, hidden]
  WeightView position_embedding;  ///< [max_positions, hidden]; data null unless learned
  NormWeight final_norm;
  LinearWeight unembedding;  ///< [vocab, hidden]
  std::string folder;
  std::string adapter_folder;  ///< empty without one
  std::int64_t parameter_count = 0;
  std::int64_t mapped_bytes = 0;
  std::vector<std::shared_ptr<const MappedCheckpoint>> files;
};

struct LoadOptions {
  bool check_values = true;  ///< refuse NaN and infinite weights (one pass over the files)
};

/// Reads a checkpoint folder (config.json in either dialect; model.safetensors or shards with
/// model.safetensors.index.json). Errors name the file and the tensor: file_not_found,
/// file_corrupt, config, unsupported_architecture, tensor_missing, tensor_shape, tensor_dtype,
/// tensor_value.
std::shared_ptr<const Model> load_model(const std::filesystem::path& folder,
                                        const LoadOptions& options, const RunControl& control);

/// The same model with a PEFT LoRA adapter folder (adapter_config.json,
/// adapter_model.safetensors) as low-rank terms; shares the base's weights. Other adapter kinds
/// are refused by name (unsupported_adapter).
std::shared_ptr<const Model> with_adapter(std::shared_ptr<const Model> base,
                                          const std::filesystem::path& adapter,
                                          const LoadOptions& options);

/// FILE_CHANGED where a file of the model was written to, cut short or not readable since it was
/// loaded: weights are read when they are needed, so what was computed may be of no one model.
void check_files(const Model& model);

/// 32 hexadecimal digits that tell this model (weights, configuration, adapter; not paths or
/// sharding) from others. A fast 128-bit hash, not cryptographic. Computed on the first call (one
/// pass over the weights) and kept for the base, which adapters share; safe from several threads.
/// FILE_CHANGED as check_files.
std::string model_fingerprint(const Model& model);

/// fp32 cos/sin table for [0, positions), frequencies as Hugging Face computes them.
RotaryTable make_rotary_table(const RotaryConfig& config, std::int64_t positions);

}  // namespace headspark
