// Allocation of a trace: one buffer per kept activation and layer, one per shared scratch.
#include "engine/trace.h"

#include "engine/mlp_weights.h"

namespace headspark {
namespace {

/// Per activation: its width and whether a layer keeps its own copy.
struct Slot {
  float* LayerTrace::*member;
  std::int64_t width;
  bool kept;
};

std::vector<Slot> slots(const Engine& engine, const TraceOptions& options) {
  const ModelConfig& config = engine.config();
  const std::int64_t kept_width = mlp_kept_width(engine);
  const std::int64_t query_width = config.heads * config.head_dim;
  const std::int64_t kv_width = config.kv_heads * config.head_dim;
  const bool gradients = options.gradients;
  const bool keys_values = gradients || options.keys_values;
  const bool writes = options.sources;
  std::vector<Slot> list = {
      {&LayerTrace::residual, config.hidden, gradients || options.residuals},
      {&LayerTrace::residual_mid, config.hidden, gradients && !config.parallel_block},
      {&LayerTrace::q, query_width, gradients},
      {&LayerTrace::k, kv_width, keys_values},
      {&LayerTrace::v, kv_width, keys_values},
      {&LayerTrace::z, query_width, gradients || writes},
      {&LayerTrace::lse, config.heads, gradients},
      {&LayerTrace::gate, kept_width, gradients},
      {&LayerTrace::mlp_out, config.hidden, writes},
  };
  if (config.post_norm) {
    list.push_back({&LayerTrace::attention_raw, config.hidden, gradients});
    list.push_back({&LayerTrace::mlp_raw, config.hidden, gradients});
    if (writes || options.written) list.push_back({&LayerTrace::written, query_width, writes});
  }
  if (config.qk_norm) {
    list.push_back({&LayerTrace::q_raw, query_width, gradients});
    list.push_back({&LayerTrace::k_raw, kv_width, gradients});
  }
  if (config.gated_mlp) list.push_back({&LayerTrace::up, kept_width, gradients});
  if (options.gated && gradients) list.push_back({&LayerTrace::raw, query_width, true});
  return list;
}

}  // namespace

Trace::Trace(const Engine& engine, std::int64_t max_tokens, const TraceOptions& options)
    : options_(options), capacity_(max_tokens), backend_(engine.context.backend) {
  const ModelConfig& config = engine.config();
  layers_.resize(static_cast<std::size_t>(config.layers));
  for (const Slot& slot : slots(engine, options)) {
    float* shared = slot.kept ? nullptr : allocate(slot.width);
    for (LayerTrace& layer : layers_)
      layer.*slot.member = slot.kept ? allocate(slot.width) : shared;
  }
  if (!config.post_norm) {
    for (LayerTrace& layer : layers_) layer.written = layer.z;
  }
  if (options.gradients || options.residuals) {
    final_residual_ = allocate(config.hidden);
  } else {
    // Nothing is kept: the residual stream is one buffer that every layer adds to in place.
    final_residual_ = layers_.front().residual;
    for (LayerTrace& layer : layers_) layer.residual_mid = layer.residual;
  }
  embedding_ = allocate(config.hidden);
  normed_ = allocate(config.hidden);
  if (config.parallel_block) normed_mlp_ = allocate(config.hidden);
  hidden_ = allocate(config.intermediate);
}

float* Trace::allocate(std::int64_t width) {
  storage_.emplace_back(backend_, capacity_ * width);
  return storage_.back().data();
}

std::int64_t Trace::floats_per_token(const Engine& engine, const TraceOptions& options) {
  const ModelConfig& config = engine.config();
  std::int64_t total = 4 * config.hidden + config.intermediate;
  for (const Slot& slot : slots(engine, options)) {
    total += slot.width * (slot.kept ? config.layers : 1);
  }
  return total;
}

}  // namespace headspark
