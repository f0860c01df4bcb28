// How many operations the computations need, whatever an implementation does: the numerators of the
// TFLOP/s that bench_model prints. Two per multiply-add; norms, rotary and softmax are not counted.
#pragma once

#include "headspark/attribution.h"
#include "headspark/model.h"

namespace headspark::bench {

/// Tokens [first, first + own) of a sequence: `first` of them are computed already.
struct Span {
  std::int64_t first = 0;
  std::int64_t own = 0;
};

/// One layer's projections and MLP on one token.
double layer_flops(const ModelConfig& config);
/// One layer's attention on a span, forward; a backward needs 2.5 times as many.
double attention_flops(const ModelConfig& config, Span span);
/// All layers forward on a span, without the unembedding.
double forward_flops(const ModelConfig& config, Span span);
double logits_flops(const ModelConfig& config, std::int64_t positions);

/// Bytes of the layers' weights as they are stored: what a pass reads at least once.
double layer_weight_bytes(const Model& model);

/// EAP-IG of a metric at the last token: the shared prefix once (of the last layer keys and
/// values), the clean run, steps + 1 forwards in all (the path of the `left` grid starts at the
/// corrupted run), steps backwards, one contraction of all edges.
double eap_ig_flops(const ModelConfig& config, const Pair& pair, int steps);

/// All layers forward on a span whose last token alone is read: of the last layer the keys and
/// values of all tokens, and the rest of that token. A backward needs as many, and `attention`
/// times the attention's.
double last_token_flops(const ModelConfig& config, Span span, double attention = 1.0);

/// All heads ablated one at a time on a prompt of `tokens`, of which the last is read: the
/// unablated run, and for a head of layer l the output projection and MLP of l and all that is
/// above.
double head_sweep_flops(const ModelConfig& config, std::int64_t tokens);

/// A circuit on a pair: a forward, and the sum over the circuit's edges of their differences.
double circuit_flops(const ModelConfig& config, const Pair& pair, std::int64_t edges);

}  // namespace headspark::bench
