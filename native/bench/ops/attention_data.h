// Operands of attention over rows of equal length; also used by the program that answers
// scripts/bench/compare.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/measure.h"
#include "common/on_device.h"
#include "headspark/ops/attention.h"

namespace headspark::bench {

struct AttentionSize {
  AttentionShape shape;
  int rows = 0;
  int tokens = 0;  ///< of a row

  std::int64_t query_values() const { return rows * tokens * shape.heads * shape.head_dim; }
  std::int64_t key_values() const { return rows * tokens * shape.kv_heads * shape.head_dim; }
  /// Operations of one product of all queries with the keys that they see.
  double product_flops() const {
    double pairs = 0.0;
    for (std::int64_t i = 0; i < tokens; ++i) {
      pairs += static_cast<double>(i + 1 - shape.first_key(i));
    }
    return 2.0 * rows * pairs * static_cast<double>(shape.heads * shape.head_dim);
  }
  std::string name() const {
    return std::to_string(rows) + " rows of " + std::to_string(tokens) + ", " +
           std::to_string(shape.heads) + "/" + std::to_string(shape.kv_heads) + " heads of " +
           std::to_string(shape.head_dim) +
           (shape.window > 0 ? ", window " + std::to_string(shape.window) : "");
  }
};

/// The shapes of FlashAttention's own benchmark (arXiv 2307.08691): 16384 tokens, 2048 values wide.
inline AttentionSize flash_size(int tokens, int head_dim) {
  const std::int64_t heads = 2048 / head_dim;
  const float scale = head_dim == 64 ? 0.125f : 0.088388348f;
  return {{heads, heads, head_dim, scale}, 16384 / tokens, tokens};
}

/// Random operands on the host.
struct AttentionValues {
  AttentionSize size;
  std::vector<float> q, k, v, d_z;

  explicit AttentionValues(const AttentionSize& s)
      : size(s),
        q(noise(s.query_values())),
        k(noise(s.key_values())),
        v(noise(s.key_values())),
        d_z(noise(s.query_values())) {}
  /// The first rows.
  AttentionValues first(int rows) const {
    AttentionValues few = *this;
    few.size.rows = rows;
    for (auto* array : {&few.q, &few.d_z}) {
      array->resize(static_cast<std::size_t>(few.size.query_values()));
    }
    for (auto* array : {&few.k, &few.v}) {
      array->resize(static_cast<std::size_t>(few.size.key_values()));
    }
    return few;
  }
};

/// The same on the device of a context, with room for the results.
class AttentionData {
 public:
  AttentionData(const Context& context, const AttentionValues& values)
      : context_(context),
        size_(values.size),
        q_(to_device(context, values.q)),
        k_(to_device(context, values.k)),
        v_(to_device(context, values.v)),
        d_z_(to_device(context, values.d_z)) {
    std::vector<std::int32_t> begin;
    for (int row = 0; row <= size_.rows; ++row) begin.push_back(row * size_.tokens);
    row_begin_ = to_device(context, begin);
    gate_ = to_device(context, std::vector<float>(size_.rows * size_.shape.heads, 0.5f));
    for (auto* array : {&z, &raw, &d_q, &d_k, &d_v}) *array = floats(context, q_.size());
    lse_ = floats(context, size_.rows * size_.tokens * size_.shape.heads);
  }

  const AttentionSize& size() const { return size_; }
  void run_forward(bool gated) {
    AttentionForward p;
    p.shape = size_.shape;
    p.layout = layout();
    p.q = q_.data(), p.k = k_.data(), p.v = v_.data(), p.lse = lse_.data();
    p.z = gated ? z.data() : raw.data();
    if (gated) p.gate = gate();
    attention_forward(context_, p);
  }
  /// Of what an ungated run_forward left.
  void run_backward(bool gated) {
    AttentionBackward p;
    p.shape = size_.shape;
    p.layout = layout();
    p.q = q_.data(), p.k = k_.data(), p.v = v_.data(), p.lse = lse_.data();
    p.raw = raw.data(), p.d_z = d_z_.data();
    p.d_q = d_q.data(), p.d_k = d_k.data(), p.d_v = d_v.data();
    if (gated) p.gate = gate();
    attention_backward(context_, p);
  }

  Buffer<float> z;    ///< of the gated forward
  Buffer<float> raw;  ///< of the forward without gates
  Buffer<float> d_q, d_k, d_v;

 private:
  RowLayout layout() const {
    RowLayout layout;
    layout.rows = size_.rows;
    layout.row_begin = row_begin_.data();
    layout.longest_row = layout.longest_context = size_.tokens;
    layout.token_count = size_.rows * size_.tokens;
    return layout;
  }
  /// A factor that leaves no head out and none as it is.
  HeadGate gate() const { return {.scale = gate_.data()}; }

  Context context_;
  AttentionSize size_;
  Buffer<float> q_, k_, v_, d_z_, lse_, gate_;
  Buffer<std::int32_t> row_begin_;
};

}  // namespace headspark::bench
