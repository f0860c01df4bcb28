// head_input_backward with one product for all copies. Per copy c, with n = (x - mean) rstd and
// h = w (d W):
//   d_x = rstd (h - mean(h) - n mean(h n))            (RMSNorm: without mean(h), and mean = 0;
//                                                      fixed: d_x = h)
// The first part is linear in rstd d, so d is summed over copies before it meets W. In the last,
// width * mean(h n) = d · W (w n) = d · (projected - offset), offset = W b_norm + b: a scalar per
// head, so no copy's d W is ever formed.
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/read_packed.h"
#include "cpu/row_block.h"
#include "ops/head_gradient.h"

namespace headspark {
namespace {

// Tokens of an item: what their products leave, and the copies' x, stay in L2.
constexpr std::int64_t kItemTokens = 32;
constexpr std::int64_t kHeadItemsPerThread = 6;

/// A projection and its sums over copies, per token: `d` [tokens, heads * head_dim] of rstd d, and
/// per head [tokens, heads] the multiples of each copy's x [copies] and a constant that d W lacks.
struct Projection {
  const HeadInputBackward::Projection& p;
  LayerPanels weights;
  std::int64_t width = 0;     // of a row of d
  std::vector<float> offset;  // W b_norm + b: the output where n is zero; empty: zeros
  float* d = nullptr;
  float* multiples = nullptr;
  float* constants = nullptr;
};

std::vector<float> projection_offset(const Context& context, const NormWeight& norm,
                                     const LinearWeight& weight) {
  if (norm.bias.empty()) return weight.bias;
  std::vector<float> offset(static_cast<std::size_t>(weight.out()), 0.0f);
  LinearForward forward;
  forward.weight = &weight;
  forward.tokens = 1;
  forward.x = norm.bias.data();
  forward.x_stride = weight.in();
  forward.y = offset.data();
  forward.y_stride = weight.out();
  linear_forward_fast(context, std::span<const LinearForward>(&forward, 1));
  return offset;
}

class HeadInputs {
 public:
  HeadInputs(const Context& context, const HeadInputBackward& p)
      : context_(context), kernels_(kernel_table(context)), p_(p) {
    for (const auto& projection : p.projections) {
      projections_.push_back(
          {projection,
           layer_panels(context, *projection.weight, PackedWeights::Direction::transposed),
           projection.width(p.head_dim), projection_offset(context, *p.norm, *projection.weight)});
      heads_ += projection.heads;
    }
    const std::int64_t rows = p.tokens * heads_;
    float* d = scratch(ScratchSlot::head_sums, rows * p.head_dim);
    float* multiples = scratch(ScratchSlot::head_multiples, rows * p.copies);
    float* constants = scratch(ScratchSlot::head_constants, rows);
    for (Projection& projection : projections_) {
      projection.d = d;
      projection.multiples = multiples;
      projection.constants = constants;
      d += p.tokens * projection.width;
      multiples += p.tokens * projection.p.heads * p.copies;
      constants += p.tokens * projection.p.heads;
    }
  }

  void run() {
    context_.threads->parallel_for(p_.tokens, 4, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) sum_copies(t);
    });
    for (const Projection& projection : projections_) {
      if (!in_blocks(projection)) multiply_in_steps(projection);
    }
    multiply_in_blocks();
  }

 private:
  void sum_copies(std::int64_t token) const {
    for (const Projection& projection : projections_) {
      std::fill_n(projection.d + token * projection.width, projection.width, 0.0f);
      std::fill_n(projection.constants + token * projection.p.heads, projection.p.heads, 0.0f);
    }
    NormRow norm = norm_row(*p_.norm);
    for (std::int64_t copy = 0; copy < p_.copies; ++copy) {
      const std::int64_t row = copy * p_.tokens + token;
      float mean = 0.0f;
      float rstd = 0.0f;
      norm.x = p_.x + row * p_.in();
      kernels_.norm_moments(norm, &mean, &rstd);
      for (const Projection& projection : projections_) {
        add_copy(projection, token, copy, mean, rstd);
      }
    }
  }

  void add_copy(const Projection& projection, std::int64_t token, std::int64_t copy, float mean,
                float rstd) const {
    const HeadInputBackward::Projection& p = projection.p;
    const std::int64_t row = copy * p_.tokens + token;
    const bool fixed = p_.norm->kind == NormKind::fixed;
    const float per_width = fixed ? 0.0f : 1.0f / static_cast<float>(p_.in());
    const float* d = p.d + row * projection.width;
    kernels_.combine(rstd, d, 1.0f, projection.d + token * projection.width, projection.width);
    for (std::int64_t head = 0; head < p.heads; ++head) {
      const std::int64_t out = first_row(p_, p, head);
      const float* d_head = d + head * p_.head_dim;
      float product = kernels_.dot(d_head, p.projected + row * p.weight->out() + out, p_.head_dim);
      if (!projection.offset.empty()) {
        product -= kernels_.dot(d_head, projection.offset.data() + out, p_.head_dim);
      }
      // rstd n mean(h n) = multiple (x - mean)
      const float multiple = rstd * rstd * product * per_width;
      const std::int64_t at = token * p.heads + head;
      projection.multiples[at * p_.copies + copy] = multiple;
      projection.constants[at] += multiple * mean;
    }
  }

  /// y of one head and token from d W; d may be y.
  void pull_back(const Projection& projection, std::int64_t head, std::int64_t token,
                 const float* d) const {
    const std::int64_t in = p_.in();
    const std::int64_t at = token * projection.p.heads + head;
    PullBack pull;
    pull.d = d;
    pull.y = projection.p.y + head * projection.p.y_stride + token * in;
    pull.weight = p_.norm->weight.data();
    pull.x = p_.x + token * in;
    pull.x_stride = p_.tokens * in;
    pull.multiples = projection.multiples + at * p_.copies;
    pull.copies = p_.copies;
    pull.constant = projection.constants[at];
    pull.centered = p_.norm->kind == NormKind::layer;
    pull.width = in;
    kernels_.pull_back(pull);
  }

  // Products over the depths of one head, which low-rank terms and odd depths are not.
  bool in_blocks(const Projection& projection) const {
    return p_.head_dim % 2 == 0 && projection.weights.low_rank.rank == 0;
  }

  void multiply_in_steps(const Projection& projection) const {
    const HeadInputBackward::Projection& p = projection.p;
    for (std::int64_t head = 0; head < p.heads; ++head) {
      linear_backward_fast(
          context_, head_gradient(p_, p, head, p_.tokens, projection.d, p.y + head * p.y_stride));
    }
    context_.threads->parallel_for(p_.tokens, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t t = begin; t < end; ++t) {
        for (std::int64_t head = 0; head < p.heads; ++head) {
          pull_back(projection, head, t, p.y + head * p.y_stride + t * p_.in());
        }
      }
    });
  }

  /// Some tokens of some heads: d W stays in L2 until it is y.
  struct Item {
    const Projection* projection = nullptr;
    Range heads;
    Range tokens;
  };

  void multiply_in_blocks() const {
    context_.threads->for_each(cut_items(), [&](const Item& item) { multiply(item); });
  }

  // Tokens inside heads: the next item of a thread reads the same weights.
  std::vector<Item> cut_items() const {
    const std::int64_t wanted = kHeadItemsPerThread * context_.threads->threads();
    const std::int64_t step =
        std::max<std::int64_t>(heads_ * ceil_divide(p_.tokens, kItemTokens) / wanted, 1);
    std::vector<Item> items;
    for (const Projection& projection : projections_) {
      if (!in_blocks(projection)) continue;
      for_ranges(projection.p.heads, step, [&](const Range& of_heads) {
        for_ranges(p_.tokens, kItemTokens, [&](const Range& tokens) {
          items.push_back({&projection, of_heads, tokens});
        });
      });
    }
    return items;
  }

  void multiply(const Item& item) const {
    const Projection& projection = *item.projection;
    const std::int64_t rows = item.tokens.count();
    const PackedPanels& weights = *projection.weights.main;
    const std::vector<PanelProduct> list = products_of(item, weights);
    BlockProducts products(kernels_, list, rows);
    RowOperand a(kernels_.gemm, ScratchSlot::block_input, rows, p_.head_dim);
    const std::int64_t stride = whole_panels(p_.in()) * kPanelWidth;
    float* c = scratch(ScratchSlot::block_out, rows * stride);
    for (std::int64_t head = item.heads.begin; head < item.heads.end; ++head) {
      a.pack(0, rows, projection.d + item.tokens.begin * projection.width + head * p_.head_dim,
             projection.width);
      for_products(weights, [&](const Range& panels, const Range& depth) {
        products.multiply(a.at(depth.begin), c + panels.begin * kPanelWidth, stride,
                          depth.begin > 0);
      });
      for (std::int64_t r = 0; r < rows; ++r) {
        pull_back(projection, head, item.tokens.begin + r, c + r * stride);
      }
    }
  }

  /// body(panels, depths of a head) for every product of a head.
  template <typename Body>
  void for_products(const PackedPanels& weights, const Body& body) const {
    const std::int64_t step = depth_block(kernels_.gemm, p_.head_dim);
    for_ranges(whole_panels(p_.in()), panels_of_product(weights, std::min(step, p_.head_dim)),
               [&](const Range& panels) {
                 for_ranges(p_.head_dim, step, [&](const Range& depth) { body(panels, depth); });
               });
  }

  std::vector<PanelProduct> products_of(const Item& item, const PackedPanels& weights) const {
    std::vector<PanelProduct> list;
    for (std::int64_t head = item.heads.begin; head < item.heads.end; ++head) {
      const std::int64_t first = first_row(p_, item.projection->p, head);
      for_products(weights, [&](const Range& panels, const Range& depth) {
        list.push_back({&weights, panels, {first + depth.begin, first + depth.end}});
      });
    }
    return list;
  }

  const Context& context_;
  const KernelTable& kernels_;
  const HeadInputBackward& p_;
  std::vector<Projection> projections_;
  std::int64_t heads_ = 0;  // of all projections
};

}  // namespace

void head_input_backward_fast(const Context& context, const HeadInputBackward& p) {
  HeadInputs(context, p).run();
}

}  // namespace headspark
