// head_input_backward on the GPU, with one product for all copies, which pulls back what it makes
// where it can (cuda/head_products.h). Per copy, with n = (x - mean)
// rstd and h = w (d W):
//   d_x = rstd (h - mean(h) - n mean(h n))            (RMSNorm: without mean(h), and mean = 0;
//                                                      fixed: d_x = h)
// The first part is linear in rstd d, so d is summed over copies before it meets W. In the last,
// width * mean(h n) = d · W (w n) = d · (projected - offset), offset = W b_norm + b: a scalar per
// head, so no copy's d W is ever formed (the same as cpu/head_input_fast.cc; the specification is
// head_input_cpu.cc). What a token gets depends on its own rows alone: sums are per warp, in order
// of copies.
#include <algorithm>

#include "cuda/head_products.h"
#include "cuda/layer_product.h"
#include "cuda/norm_rows.h"
#include "cuda/product_tiles.h"
#include "cuda/term_rows.h"
#include "ops/backends.h"
#include "ops/head_gradient.h"

namespace headspark {
namespace {

using namespace cuda;

// Copies whose values a thread holds at once; more go round again.
constexpr int kCopies = 8;
constexpr int kSumThreads = 256;

struct MomentsKernel {
  NormConstants norm;
  std::int64_t rows;
  const float* x;
  float* mean;
  float* rstd;
};

template <bool Wide>
HEADSPARK_KERNEL(kNormThreads)
moments_kernel(MomentsKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t row = team.row();
  if (row >= p.rows) return;
  const Moments m = moments(p.norm, team, p.x + row * p.norm.width);
  if (team.first() != 0) return;
  p.mean[row] = m.mean;
  p.rstd[row] = m.rstd;
}

/// One projection's sums over copies. A warp has a head of a token.
struct SumKernel {
  std::int64_t copies;
  std::int64_t tokens;
  std::int64_t heads;
  std::int64_t share;
  std::int64_t head_dim;
  float per_width;         // 1 / the norm's width
  const float* mean;       // [copies, tokens]
  const float* rstd;       // [copies, tokens]
  const float* d;          // [copies, tokens, heads, head_dim]
  const float* projected;  // [copies, tokens, heads / share, head_dim]
  const float* offset;     // [heads / share, head_dim], or null: zeros
  float* d_sum;            // [tokens, heads, head_dim] of rstd d
  float* multiples;        // [tokens, heads, copies] of each copy's x
  float* constants;        // [tokens, heads] what d W lacks
};

HEADSPARK_KERNEL(kSumThreads)
sum_kernel(SumKernel p) {
  const std::int64_t warp =
      static_cast<std::int64_t>(block_x()) * (kSumThreads / 32) + warp_index();
  if (warp >= p.tokens * p.heads) return;
  const std::int64_t token = warp / p.heads;
  const std::int64_t head = warp % p.heads;
  const std::int64_t row_width = p.heads * p.head_dim;
  const std::int64_t out_width = row_width / p.share;
  const float* const d = p.d + token * row_width + head * p.head_dim;
  const float* const projected = p.projected + token * out_width + head / p.share * p.head_dim;
  const float* const offset =
      p.offset != nullptr ? p.offset + head / p.share * p.head_dim : nullptr;
  float* const d_sum = p.d_sum + warp * p.head_dim;
  float constant = 0.0f;
  for (std::int64_t first = 0; first < p.copies; first += kCopies) {
    const int count = static_cast<int>(p.copies - first < kCopies ? p.copies - first : kCopies);
    float rstd[kCopies];
    float product[kCopies];
    HEADSPARK_UNROLL
    for (int c = 0; c < kCopies; ++c) {
      product[c] = 0.0f;
      rstd[c] = c < count ? p.rstd[(first + c) * p.tokens + token] : 0.0f;
    }
    for (std::int64_t i = lane_index(); i < p.head_dim; i += 32) {
      float sum = first > 0 ? d_sum[i] : 0.0f;
      const float centre = offset != nullptr ? offset[i] : 0.0f;
      HEADSPARK_UNROLL
      for (int c = 0; c < kCopies; ++c) {
        if (c >= count) continue;
        const std::int64_t row = (first + c) * p.tokens;
        const float value = d[row * row_width + i];
        sum = multiply_add(rstd[c], value, sum);
        product[c] = multiply_add(value, projected[row * out_width + i] - centre, product[c]);
      }
      d_sum[i] = sum;
    }
    HEADSPARK_UNROLL
    for (int c = 0; c < kCopies; ++c) {
      if (c >= count) continue;
      // rstd n mean(h n) = multiple (x - mean)
      const float multiple = rstd[c] * rstd[c] * warp_sum(product[c]) * p.per_width;
      constant = multiply_add(multiple, p.mean[(first + c) * p.tokens + token], constant);
      if (lane_index() == 0) p.multiples[warp * p.copies + first + c] = multiple;
    }
  }
  if (lane_index() == 0) p.constants[warp] = constant;
}

/// LayerNorm: takes mean(h) off the constants. A team has a head of a token.
struct CentreKernel {
  NormConstants norm;
  std::int64_t tokens;
  std::int64_t heads;
  const float* d_normed;  // head h at d_normed + h * stride: [tokens, width]
  std::int64_t stride;
  float* constants;  // [tokens, heads]
};

template <bool Wide>
HEADSPARK_KERNEL(kNormThreads)
centre_kernel(CentreKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t at = team.row();
  if (at >= p.tokens * p.heads) return;
  const std::int64_t width = p.norm.width;
  const float* const d_normed = p.d_normed + at % p.heads * p.stride + at / p.heads * width;
  float sum = 0.0f;
  for (std::int64_t i = team.first(); i < width; i += team.step()) {
    sum = multiply_add(d_normed[i], p.norm.weight[i], sum);
  }
  const float mean = team.sum(sum) / static_cast<float>(width);
  if (team.first() == 0) p.constants[at] -= mean;
}

/// From d W to the gradient at x, in place. A team has a token, of which all heads read the same x.
struct PullBackKernel {
  NormConstants norm;
  std::int64_t copies;
  std::int64_t tokens;
  std::int64_t heads;
  const float* x;  // [copies, tokens, width]
  const float* multiples;
  const float* constants;
  float* y;  // head h at y + h * y_stride: [tokens, width]
  std::int64_t y_stride;
};

template <bool Wide>
HEADSPARK_KERNEL(kNormThreads)
pull_back_kernel(PullBackKernel p) {
  const RowTeam<Wide> team = row_team<Wide>();
  const std::int64_t token = team.row();
  if (token >= p.tokens) return;
  const std::int64_t width = p.norm.width;
  for (std::int64_t i = team.first(); i < width; i += team.step()) {
    const float weight = p.norm.weight[i];
    for (std::int64_t first = 0; first < p.copies; first += kCopies) {
      const int count = static_cast<int>(p.copies - first < kCopies ? p.copies - first : kCopies);
      float x[kCopies];
      HEADSPARK_UNROLL
      for (int c = 0; c < kCopies; ++c) {
        x[c] = c < count ? p.x[((first + c) * p.tokens + token) * width + i] : 0.0f;
      }
      for (std::int64_t head = 0; head < p.heads; ++head) {
        const std::int64_t at = token * p.heads + head;
        const float* const multiples = p.multiples + at * p.copies + first;
        float* const y = p.y + head * p.y_stride + token * width + i;
        float value = first > 0 ? *y : multiply_add(*y, weight, p.constants[at]);
        HEADSPARK_UNROLL
        for (int c = 0; c < kCopies; ++c) {
          if (c < count) value = multiply_add(-multiples[c], x[c], value);
        }
        *y = value;
      }
    }
  }
}

/// W b_norm + b, the output where n is zero; null: zeros.
const float* projection_offset(const Context& context, const NormWeight& norm,
                               const LinearWeight& weight, float* room) {
  OpDevice& device = op_device(context);
  if (norm.bias.empty()) return device.constant_floats(weight.bias);
  linear_forward_cuda(context, whole_layer(weight, 1, device.constant_floats(norm.bias), room));
  return room;
}

float* y_of(const HeadInputBackward& p, const HeadInputBackward::Projection& projection,
            std::int64_t head) {
  return element_in(projection.y, head * projection.y_stride, p.type);
}

class HeadInputs {
 public:
  HeadInputs(const Context& context, const HeadInputBackward& p)
      : context_(context),
        device_(op_device(context)),
        p_(p),
        norm_(norm_constants(device_, *p.norm)),
        wide_(p.in() > kWarpWidth) {
    const std::int64_t rows = p.copies * p.tokens;
    std::int64_t heads = 0;
    std::int64_t out = 0;
    for (const auto& projection : p.projections) {
      heads = std::max(heads, projection.heads);
      out = std::max(out, projection.weight->out());
    }
    const std::int64_t sums = p.tokens * heads;
    float* memory = device_.scratch_floats(ScratchSlot::head_input,
                                           2 * rows + sums * (p.head_dim + p.copies + 1) + out);
    const auto take = [&](std::int64_t count) {
      float* const taken = memory;
      memory += count;
      return taken;
    };
    d_sum_ = take(sums * p.head_dim);  // first, as products read it by 16 bytes
    mean_ = take(rows);
    rstd_ = take(rows);
    multiples_ = take(sums * p.copies);
    constants_ = take(sums);
    offset_ = take(out);
  }

  void run() {
    const std::int64_t rows = p_.copies * p_.tokens;
    launch(device_.stream(), norm_shape(p_.in(), rows),
           wide_ ? &moments_kernel<true> : &moments_kernel<false>,
           MomentsKernel{norm_, rows, p_.x, mean_, rstd_});
    for (const auto& projection : p_.projections) run(projection);
  }

 private:
  void run(const HeadInputBackward::Projection& projection) {
    const float* const offset = projection_offset(context_, *p_.norm, *projection.weight, offset_);
    const std::int64_t sums = p_.tokens * projection.heads;
    const bool fixed = norm_.kind == NormKind::fixed;
    launch(device_.stream(), {{blocks_for(sums, kSumThreads / 32)}, kSumThreads}, &sum_kernel,
           SumKernel{p_.copies, p_.tokens, projection.heads, projection.share, p_.head_dim,
                     fixed ? 0.0f : 1.0f / static_cast<float>(p_.in()), mean_, rstd_, projection.d,
                     projection.projected, offset, d_sum_, multiples_, constants_});
    if (multiply_at_once(projection)) return;
    if (p_.type == DType::f32) return multiply_in_steps(projection);
    HeadInputBackward::Projection unrounded = projection;
    unrounded.y_stride = p_.tokens * p_.in();
    unrounded.y =
        device_.scratch_floats(ScratchSlot::unrounded_rows, projection.heads * unrounded.y_stride);
    multiply_in_steps(unrounded);
    for (std::int64_t head = 0; head < projection.heads; ++head) {
      combine_cuda(context_, {.count = unrounded.y_stride,
                              .x = unrounded.y + head * unrounded.y_stride,
                              .b = 0.0f,
                              .y = y_of(p_, projection, head),
                              .type = p_.type});
    }
  }

  void multiply_in_steps(const HeadInputBackward::Projection& projection) {
    const std::int64_t sums = p_.tokens * projection.heads;
    multiply(projection);
    if (norm_.kind == NormKind::layer) {
      launch(device_.stream(), norm_shape(p_.in(), sums),
             wide_ ? &centre_kernel<true> : &centre_kernel<false>,
             CentreKernel{norm_, p_.tokens, projection.heads, projection.y, projection.y_stride,
                          constants_});
    }
    launch(device_.stream(), norm_shape(p_.in(), p_.tokens),
           wide_ ? &pull_back_kernel<true> : &pull_back_kernel<false>,
           PullBackKernel{norm_, p_.copies, p_.tokens, projection.heads, p_.x, multiples_,
                          constants_, projection.y, projection.y_stride});
  }

  /// The sums of all heads over copies, as terms.
  TermRows sum_terms(const HeadInputBackward::Projection& projection, int terms) {
    const std::int64_t width = projection.width(p_.head_dim);
    const TermRows rows = term_rows(device_, terms, p_.tokens, width);
    split_rows(device_, d_sum_, width, rows);
    return rows;
  }

  /// By the kernel that pulls back what it multiplies; false, with nothing done, where it cannot.
  bool multiply_at_once(const HeadInputBackward::Projection& projection) {
    const LinearWeight& weight = *projection.weight;
    if (norm_.kind == NormKind::layer) return false;
    const GemmOperand stored = whole_operand(device_.terms(weight, context_.precision), true);
    if (!has_head_products(stored, p_.head_dim, p_.copies)) return false;
    const TermRows d = sum_terms(projection, term_count(context_.precision));
    HeadLowRank low_rank;
    if (low_rank_of(weight) != nullptr) {
      low_rank = head_low_rank(device_, context_.precision, weight,
                               {d, projection.heads, projection.share, p_.head_dim});
    }
    head_products(device_, {.d = d,
                            .weight = stored,
                            .low_rank = low_rank,
                            .heads = projection.heads,
                            .share = projection.share,
                            .head_dim = p_.head_dim,
                            .copies = p_.copies,
                            .tokens = p_.tokens,
                            .width = p_.in(),
                            .gain = norm_.weight,
                            .x = p_.x,
                            .multiples = multiples_,
                            .y = projection.y,
                            .y_stride = projection.y_stride,
                            .type = p_.type});
    return true;
  }

  /// d W of every head, with the terms of all heads made at once where products read them.
  void multiply(const HeadInputBackward::Projection& projection) {
    const LinearWeight* const layers[] = {projection.weight};
    // Then a head is a part of all heads' rows, of which products read kTileDepth at a time.
    const bool whole_tiles = p_.head_dim % kTileDepth == 0;
    const int terms = whole_tiles ? terms_for(context_, layers) : 0;
    TermRows all;
    if (terms > 0) all = sum_terms(projection, terms);
    for (std::int64_t head = 0; head < projection.heads; ++head) {
      const LinearBackward product = head_gradient(p_, projection, head, p_.tokens, d_sum_,
                                                   projection.y + head * projection.y_stride);
      GemmRows rows{product.d_y, product.d_y_stride};
      if (terms > 0) {
        rows.terms = all;
        rows.terms.data += head * p_.head_dim;
        rows.terms.depth = p_.head_dim;
      }
      layer_backward(context_, product, rows);
    }
  }

  const Context& context_;
  OpDevice& device_;
  const HeadInputBackward& p_;
  NormConstants norm_;
  bool wide_;
  float* d_sum_ = nullptr;  // of the projection at work, as all but the moments
  float* mean_ = nullptr;
  float* rstd_ = nullptr;
  float* multiples_ = nullptr;
  float* constants_ = nullptr;
  float* offset_ = nullptr;
};

}  // namespace

void head_input_backward_cuda(const Context& context, const HeadInputBackward& p) {
  if (p.copies > 0) {
    HeadInputs(context, p).run();
    return;
  }
  for (const HeadInputBackward::Projection& projection : p.projections) {
    for (std::int64_t head = 0; head < projection.heads; ++head) {
      zero(op_device(context).stream(), y_of(p, projection, head),
           p.tokens * p.in() * dtype_bytes(p.type));
    }
  }
}

}  // namespace headspark
