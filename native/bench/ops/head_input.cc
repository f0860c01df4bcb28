// Gradients at the inputs of a block's heads, summed over the points of a path: q, k and v of every
// query head.
#include "headspark/ops/head_input.h"

#include <algorithm>
#include <memory>

#include "ops/benchmark.h"
#include "ops/linear_data.h"

namespace headspark::bench {
namespace {

struct HeadInputShape {
  std::int64_t copies = 0;
  std::int64_t tokens = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t hidden = 0;
};

/// Rows of the operands, [copies, tokens, …], for the first `tokens` of each copy.
std::vector<float> first_tokens(const std::vector<float>& all, const HeadInputShape& s,
                                std::int64_t tokens) {
  const std::int64_t row = static_cast<std::int64_t>(all.size()) / (s.copies * s.tokens);
  std::vector<float> few;
  for (std::int64_t copy = 0; copy < s.copies; ++copy) {
    const auto from = all.begin() + copy * s.tokens * row;
    few.insert(few.end(), from, from + tokens * row);
  }
  return few;
}

/// One projection's operands on the host.
struct HeadProjection {
  LinearData layer;
  std::int64_t share;
  std::vector<float> projected, d;

  HeadProjection(const Context& context, const HeadInputShape& s, std::int64_t out_heads)
      : layer(context, {1, out_heads * s.head_dim, s.hidden}), share(s.heads / out_heads) {
    projected.resize(static_cast<std::size_t>(s.copies * s.tokens * out_heads * s.head_dim));
    d = noise(s.copies * s.tokens * s.heads * s.head_dim);
  }
};

struct HeadInputs {
  HeadInputShape shape;
  NormWeight norm;
  std::vector<float> x;
  std::vector<std::unique_ptr<HeadProjection>> projections;

  HeadInputs(const Context& context, const HeadInputShape& s) : shape(s) {
    norm.weight = noise(s.hidden);
    x = noise(s.copies * s.tokens * s.hidden);
    for (const std::int64_t heads : {s.heads, s.kv_heads, s.kv_heads}) {
      projections.push_back(std::make_unique<HeadProjection>(context, s, heads));
      project(*projections.back());
    }
  }

 private:
  /// forward: projected = W norm(x), by the CPU's kernels.
  void project(HeadProjection& projection) const {
    const Context cpu = make_cpu_context(0, default_isa());
    const std::int64_t rows = shape.copies * shape.tokens;
    std::vector<float> normed(x.size());
    norm_forward(cpu, {&norm, rows, x.data(), shape.hidden, normed.data(), shape.hidden});
    linear_forward(cpu, whole_layer(projection.layer.weight, rows, normed.data(),
                                    projection.projected.data()));
  }
};

/// The same on the device of a context, for the first `tokens` of each copy.
struct HeadInputData {
  Context context;
  const HeadInputs& inputs;
  std::int64_t tokens;
  Buffer<float> x;
  std::vector<Buffer<float>> projected, d, y;

  HeadInputData(const Context& c, const HeadInputs& from, std::int64_t count)
      : context(c), inputs(from), tokens(count), x(there(from.x)) {
    for (const auto& projection : from.projections) {
      projected.push_back(there(projection->projected));
      d.push_back(there(projection->d));
      y.push_back(floats(context, from.shape.heads * tokens * from.shape.hidden));
    }
  }
  Buffer<float> there(const std::vector<float>& all) const {
    return to_device(context, first_tokens(all, inputs.shape, tokens));
  }
  void run() {
    HeadInputBackward p;
    p.norm = &inputs.norm;
    p.copies = inputs.shape.copies;
    p.tokens = tokens;
    p.head_dim = inputs.shape.head_dim;
    p.x = x.data();
    for (std::size_t i = 0; i < y.size(); ++i) {
      const HeadProjection& from = *inputs.projections[i];
      p.projections.push_back({&from.layer.weight, inputs.shape.heads, from.share,
                               projected[i].data(), d[i].data(), y[i].data(),
                               tokens * inputs.shape.hidden});
    }
    head_input_backward(context, p);
  }
};

/// Operands on the host and on the device.
struct HeadInputCase {
  HeadInputs inputs;
  HeadInputData data;

  HeadInputCase(const Context& context, const HeadInputShape& s)
      : inputs(context, s), data(context, inputs, s.tokens) {}
  /// Of the first head of v, whose projection is shared.
  double error(const Context& reference) const {
    const std::int64_t few = std::min<std::int64_t>(4, data.tokens);
    HeadInputData expected(reference, inputs, few);
    expected.run();
    const std::vector<float> all_v = expected.y.back().to_host();
    return relative_error(
        data.y.back().to_host(),
        std::span(all_v).first(static_cast<std::size_t>(few * inputs.shape.hidden)));
  }
};

void add_head_input(std::vector<Benchmark>& all, const Context& context, const HeadInputShape& s) {
  const auto heads = on_first_use<HeadInputCase>(context, s);
  const auto real = [](std::int64_t value) { return static_cast<double>(value); };
  // One product for all copies; each copy's rows are read once.
  const double outputs = 3 * real(s.heads * s.tokens * s.hidden);
  const double kept =
      real(s.copies * s.tokens) * real(s.hidden + (4 * s.heads + 2 * s.kv_heads) * s.head_dim);
  all.push_back({"head_input_backward " + std::to_string(s.copies) + " copies of " +
                     std::to_string(s.tokens) + " tokens, " + std::to_string(s.heads) + "/" +
                     std::to_string(s.kv_heads) + " heads of " + std::to_string(s.head_dim),
                 2 * outputs * real(s.head_dim), 4 * (outputs + kept), [=] { heads->data.run(); },
                 [=](const Context& reference) { return heads->error(reference); }});
}

}  // namespace

std::vector<Benchmark> head_input_benchmarks(const Context& context, bool quick) {
  std::vector<Benchmark> all;
  if (context.on_cpu()) {
    add_head_input(all, context, {5, quick ? 64 : 496, 9, 3, 64, 576});
  } else {
    add_head_input(
        all, context,
        quick ? HeadInputShape{5, 8, 6, 2, 16, 64} : HeadInputShape{5, 2048, 12, 2, 128, 1536});
  }
  return all;
}

}  // namespace headspark::bench
