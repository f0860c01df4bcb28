// Attention forward and backward, in the shapes of attribution (many short rows), of prefill, and
// on a GPU of FlashAttention's benchmark, with gates and without.
#include <algorithm>

#include "ops/attention_data.h"
#include "ops/benchmark.h"

namespace headspark::bench {
namespace {

// Rows that are computed again to verify: the reference takes a second for about as many tokens.
constexpr int kVerifiedRowTokens = 4096;

struct Attention {
  AttentionValues values;
  AttentionData data;

  Attention(const Context& context, const AttentionSize& size)
      : values(size), data(context, values) {
    data.run_forward(false);  // for the backward, in case that benchmark alone is selected
  }
  using Member = Buffer<float> AttentionData::*;

  /// The largest error of these results.
  double error(const Context& reference, bool gated, std::initializer_list<Member> members) const {
    const int most = std::max(1, kVerifiedRowTokens / values.size.tokens);
    AttentionData expected(reference, values.first(std::min(most, values.size.rows)));
    expected.run_forward(false);
    expected.run_forward(gated);
    expected.run_backward(gated);
    double largest = 0;
    for (const Member member : members) {
      const double error = relative_error((data.*member).to_host(), (expected.*member).to_host());
      if (!(error <= largest)) largest = error;
    }
    return largest;
  }
};

void add_attention(std::vector<Benchmark>& all, const Context& context, const AttentionSize& size,
                   bool with_gates) {
  const auto attention = on_first_use<Attention>(context, size);
  const double product = size.product_flops();
  const double bytes = 4.0 * static_cast<double>(2 * size.query_values() + 2 * size.key_values());
  for (const bool gated : {false, true}) {
    if (gated && !with_gates) continue;
    const std::string name = size.name() + (gated ? ", gated" : "");
    const auto z = gated ? &AttentionData::z : &AttentionData::raw;
    all.push_back({"attention_forward " + name, 2.0 * product, bytes,
                   [=] { attention->data.run_forward(gated); },
                   [=](const Context& c) { return attention->error(c, gated, {z}); }});
    all.push_back({"attention_backward " + name, 5.0 * product, 2.5 * bytes,
                   [=] { attention->data.run_backward(gated); },
                   [=](const Context& c) {
                     return attention->error(
                         c, gated, {&AttentionData::d_q, &AttentionData::d_k, &AttentionData::d_v});
                   }});
  }
}

}  // namespace

std::vector<Benchmark> attention_benchmarks(const Context& context, bool quick) {
  std::vector<Benchmark> all;
  add_attention(all, context, {{9, 3, 64, 0.125f}, quick ? 8 : 80, 31}, true);
  if (quick) return all;
  if (context.on_cpu()) {
    add_attention(all, context, {{9, 3, 64, 0.125f}, 1, 512}, false);
    add_attention(all, context, {{12, 2, 128, 0.088f}, 4, 256}, false);
    for (const std::int64_t window : {0, 256}) {
      add_attention(all, context, {{9, 3, 64, 0.125f, window}, 1, 4096}, false);
    }
    return all;
  }
  add_attention(all, context, {{12, 2, 128, 0.088388348f}, 320, 128}, true);  // of Qwen2.5-1.5B
  for (const int head_dim : {64, 128}) {
    for (const int tokens : {128, 512, 2048, 8192}) {
      add_attention(all, context, flash_size(tokens, head_dim), true);
    }
  }
  AttentionSize windowed = flash_size(8192, 128);
  windowed.shape.window = 1024;
  add_attention(all, context, windowed, false);
  return all;
}

}  // namespace headspark::bench
