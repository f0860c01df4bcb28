// Operation counts.
#include "model/work.h"

#include "headspark/graph.h"
#include "model/pairs_file.h"

namespace headspark::bench {
namespace {

double real(std::int64_t value) {
  return static_cast<double>(value);
}

double mlp_and_output_flops(const ModelConfig& c) {
  const double mlp = (c.gated_mlp ? 3.0 : 2.0) * real(c.hidden * c.intermediate);
  return 2.0 * (mlp + real(c.hidden * c.heads * c.head_dim));
}

double kv_flops(const ModelConfig& c) {
  return 2.0 * real(c.hidden * 2 * c.kv_heads * c.head_dim);
}

double last_layer_flops(const ModelConfig& c, Span span, double attention) {
  const Span last{span.first + span.own - 1, 1};
  return real(span.own) * kv_flops(c) + layer_flops(c) - kv_flops(c) +
         attention * attention_flops(c, last);
}

Span own_part(const Pair& pair) {
  const std::int64_t shared = shared_tokens(pair);
  return {shared, static_cast<std::int64_t>(pair.clean.size()) - shared};
}

}  // namespace

double layer_flops(const ModelConfig& c) {
  return 2.0 * real(c.hidden * (c.heads + 2 * c.kv_heads) * c.head_dim) + mlp_and_output_flops(c);
}

double attention_flops(const ModelConfig& c, Span span) {
  // Token t sees first + t + 1 positions; a product with q and one with v.
  const double seen = real(span.own) * (real(span.first) + 0.5 * (real(span.own) + 1.0));
  return 4.0 * seen * real(c.heads * c.head_dim);
}

double forward_flops(const ModelConfig& c, Span span) {
  return real(c.layers) * (real(span.own) * layer_flops(c) + attention_flops(c, span));
}

double logits_flops(const ModelConfig& c, std::int64_t positions) {
  return 2.0 * real(positions) * real(c.hidden) * real(c.vocab);
}

double layer_weight_bytes(const Model& model) {
  double bytes = 0;
  for (const LayerWeights& layer : model.layers) {
    for (const LinearWeight* w :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      if (!w->empty()) bytes += real(w->out() * w->in() * dtype_bytes(w->view.dtype));
    }
  }
  return bytes;
}

double last_token_flops(const ModelConfig& c, Span span, double attention) {
  const double layer = real(span.own) * layer_flops(c) + attention * attention_flops(c, span);
  return real(c.layers - 1) * layer + last_layer_flops(c, span, attention);
}

double eap_ig_flops(const ModelConfig& c, const Pair& pair, int steps) {
  const Span own = own_part(pair);
  const double forward = last_token_flops(c, own);
  const double backward = last_token_flops(c, own, 2.5);
  const double contraction =
      2.0 * real(make_graph(c, KvEdges::per_query_head).edges()) * real(own.own) * real(c.hidden);
  const Span prefix{0, own.first};
  const double below = real(own.first) * layer_flops(c) + attention_flops(c, prefix);
  const double shared = real(c.layers - 1) * below + real(own.first) * kv_flops(c);
  return shared + (steps + 1) * forward + steps * backward + contraction;
}

double head_sweep_flops(const ModelConfig& c, std::int64_t tokens) {
  const Span span{0, tokens};
  const double layer = real(tokens) * layer_flops(c) + attention_flops(c, span);
  double flops = last_token_flops(c, span) + real(c.heads) * mlp_and_output_flops(c);
  for (std::int64_t l = 0; l + 1 < c.layers; ++l) {
    flops += real(c.heads) * (real(tokens) * mlp_and_output_flops(c) +
                              real(c.layers - 2 - l) * layer + last_layer_flops(c, span, 1.0));
  }
  return flops;
}

double circuit_flops(const ModelConfig& c, const Pair& pair, std::int64_t edges) {
  const Span own = own_part(pair);
  return forward_flops(c, own) + 2.0 * real(edges) * real(own.own) * real(c.hidden);
}

}  // namespace headspark::bench
