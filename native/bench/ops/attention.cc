// Attention forward and backward, in the shapes of attribution (many short rows) and of prefill.
#include "headspark/ops/attention.h"

#include <memory>

#include "common/measure.h"
#include "ops/benchmark.h"

namespace headspark::bench {
namespace {

struct AttentionData {
  AttentionShape shape;
  std::vector<std::int32_t> row_begin;
  std::vector<float> q, k, v, z, lse, d_z, d_q, d_k, d_v;
  bool forwarded = false;  ///< z and lse are there

  AttentionData(const AttentionShape& s, int rows, int tokens) : shape(s) {
    for (int r = 0; r <= rows; ++r) row_begin.push_back(r * tokens);
    const std::int64_t all = rows * tokens * s.heads * s.head_dim;
    const std::int64_t grouped = rows * tokens * s.kv_heads * s.head_dim;
    q = noise(all), k = noise(grouped), v = noise(grouped), d_z = noise(all);
    z.resize(q.size()), d_q = z, d_k = z, d_v = z;
    lse.resize(static_cast<std::size_t>(rows * tokens * s.heads));
  }
  AttentionForward forward() {
    AttentionForward p;
    p.shape = shape;
    p.layout.rows = static_cast<std::int32_t>(row_begin.size()) - 1;
    p.layout.row_begin = row_begin.data();
    p.layout.token_count = row_begin.back();
    p.q = q.data(), p.k = k.data(), p.v = v.data(), p.z = z.data(), p.lse = lse.data();
    return p;
  }
  /// Its first call computes what the forward leaves, in case that benchmark is not selected.
  AttentionBackward backward() {
    const AttentionForward f = forward();
    if (!forwarded) attention_forward(make_cpu_context(0, Isa::specification), f);
    forwarded = true;
    AttentionBackward p;
    p.shape = shape;
    p.layout = f.layout;
    p.q = f.q, p.k = f.k, p.v = f.v, p.raw = f.z, p.lse = f.lse, p.d_z = d_z.data();
    p.d_q = d_q.data(), p.d_k = d_k.data(), p.d_v = d_v.data();
    return p;
  }
  double error(const Context& specification, std::vector<float> AttentionData::*member) {
    const std::vector<float> got = this->*member;
    attention_forward(specification, forward());
    attention_backward(specification, backward());
    return relative_error(got, this->*member);
  }
};

void add_attention(std::vector<Benchmark>& all, const AttentionShape& s, int rows, int tokens) {
  const auto data = std::make_shared<AttentionData>(s, rows, tokens);
  const double pairs = 0.5 * rows * tokens * (tokens + 1.0) * static_cast<double>(s.heads);
  const double product = 2.0 * pairs * static_cast<double>(s.head_dim);
  const double bytes = 4.0 * static_cast<double>(2 * data->q.size() + 2 * data->k.size());
  const std::string name = std::to_string(rows) + " rows of " + std::to_string(tokens) + ", " +
                           std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) +
                           " heads of " + std::to_string(s.head_dim);
  all.push_back({"attention_forward " + name, 2.0 * product, bytes,
                 [data](const Context& c) { attention_forward(c, data->forward()); },
                 [data](const Context& c) { return data->error(c, &AttentionData::z); }});
  all.push_back({"attention_backward " + name, 5.0 * product, 2.5 * bytes,
                 [data](const Context& c) { attention_backward(c, data->backward()); },
                 [data](const Context& c) { return data->error(c, &AttentionData::d_k); }});
}

}  // namespace

std::vector<Benchmark> attention_benchmarks(bool quick) {
  std::vector<Benchmark> all;
  add_attention(all, {9, 3, 64, 0.125f}, 80, 31);
  if (quick) return all;
  add_attention(all, {9, 3, 64, 0.125f}, 1, 512);
  add_attention(all, {12, 2, 128, 0.088f}, 4, 256);
  return all;
}

}  // namespace headspark::bench
