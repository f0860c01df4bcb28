// KL(clean || current) over the kernel table; formulas in src/ops/metric_cpu.cc. Rows that are
// compared with the same clean row share its probabilities, whose exponentials in double take most
// of the time.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "cpu/fast_ops.h"
#include "cpu/kernel_table.h"
#include "cpu/range.h"
#include "ops/token_set.h"

namespace headspark {
namespace {

// Tokens whose clean probabilities are held at a time: 32 KB.
constexpr std::int64_t kTokenBlock = 2048;
// Rows that are added up side by side: each is one chain of additions, whose latency would else be
// waited for.
constexpr int kSummedRows = 4;

/// What one thread takes at once: rows of one clean row.
struct Share {
  const float* clean = nullptr;
  std::span<const std::int32_t> rows;
};

/// All rows, by clean row; no share is larger than a thread's part of them.
class Shares {
 public:
  Shares(const Context& context, const MetricForward& p)
      : order_(static_cast<std::size_t>(p.rows)) {
    const auto clean = [&](std::int32_t row) { return clean_row_of(p, row); };
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](std::int32_t a, std::int32_t b) { return clean(a) < clean(b); });
    const auto most =
        static_cast<std::size_t>(ceil_divide(p.rows, std::int64_t{context.threads->threads()}));
    const std::span<const std::int32_t> order = order_;
    for (std::size_t begin = 0; begin < order.size();) {
      std::size_t end = begin + 1;
      while (end < order.size() && end - begin < most && clean(order[end]) == clean(order[begin])) {
        ++end;
      }
      shares_.push_back(
          {p.clean_logits + clean(order[begin]) * p.vocab, order.subspan(begin, end - begin)});
      begin = end;
    }
  }

  template <typename Run>
  void for_each(const Context& context, const Run& run) const {
    context.threads->parallel_for(std::ssize(shares_), 1,
                                  [&](std::int64_t begin, std::int64_t end) {
                                    for (std::int64_t i = begin; i < end; ++i) {
                                      run(shares_[static_cast<std::size_t>(i)]);
                                    }
                                  });
  }

 private:
  std::vector<std::int32_t> order_;
  std::vector<Share> shares_;
};

/// q of a clean row at some tokens. In double, as in the specification: the terms of q (log q -
/// log p) cancel, and fp32 would leave noise where the two rows are nearly equal.
struct CleanBlock {
  std::int64_t begin = 0;
  std::int64_t count = 0;
  double log_q[kTokenBlock];
  double q[kTokenBlock];

  void fill(const float* clean, double lse, const Range& tokens) {
    begin = tokens.begin;
    count = tokens.count();
    for (std::int64_t i = 0; i < count; ++i) {
      log_q[i] = clean[begin + i] - lse;
      q[i] = std::exp(log_q[i]);
    }
  }
};

struct RowSum {
  const float* x = nullptr;
  double lse = 0.0;
  double sum = 0.0;
};

template <int Rows>
void add_block(const CleanBlock& block, RowSum* rows) {
  double sum[Rows];
  for (int r = 0; r < Rows; ++r) sum[r] = rows[r].sum;
  for (std::int64_t i = 0; i < block.count; ++i) {
    const double q = block.q[i];
    if (!(q > 0.0)) continue;  // q = 0 contributes 0, not 0 * infinity
    for (int r = 0; r < Rows; ++r) {
      sum[r] += q * (block.log_q[i] - (rows[r].x[block.begin + i] - rows[r].lse));
    }
  }
  for (int r = 0; r < Rows; ++r) rows[r].sum = sum[r];
}

}  // namespace

void kl_forward_fast(const Context& context, const MetricForward& p) {
  const KernelTable& kernels = kernel_table(context);
  Shares(context, p).for_each(context, [&](const Share& share) {
    std::vector<RowSum> rows(share.rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].x = p.logits + share.rows[i] * p.vocab;
      rows[i].lse = log_sum_exp(kernels, rows[i].x, p.vocab);
    }
    const double clean_lse = log_sum_exp(kernels, share.clean, p.vocab);
    CleanBlock block;
    for_ranges(p.vocab, kTokenBlock, [&](const Range& tokens) {
      block.fill(share.clean, clean_lse, tokens);
      std::size_t i = 0;
      for (; i + kSummedRows <= rows.size(); i += kSummedRows)
        add_block<kSummedRows>(block, &rows[i]);
      for (; i < rows.size(); ++i) add_block<1>(block, &rows[i]);
    });
    for (std::size_t i = 0; i < rows.size(); ++i) {
      p.value[share.rows[i]] = static_cast<float>(rows[i].sum);
    }
  });
}

void kl_backward_fast(const Context& context, const MetricBackward& p) {
  const KernelTable& kernels = kernel_table(context);
  const MetricForward& f = p.forward;
  Shares(context, f).for_each(context, [&](const Share& share) {
    std::vector<double> lse;
    for (const std::int32_t row : share.rows) {
      lse.push_back(log_sum_exp(kernels, f.logits + row * f.vocab, f.vocab));
    }
    const double clean_lse = log_sum_exp(kernels, share.clean, f.vocab);
    CleanBlock block;
    for_ranges(f.vocab, kTokenBlock, [&](const Range& tokens) {
      block.fill(share.clean, clean_lse, tokens);
      for (std::size_t i = 0; i < lse.size(); ++i) {
        const std::int64_t row = share.rows[i];
        float* g = p.d_logits + row * f.vocab + block.begin;
        kernels.exp_range(f.logits + row * f.vocab + block.begin, block.count,
                          static_cast<float>(lse[i]), g);
        for (std::int64_t j = 0; j < block.count; ++j) {
          g[j] = static_cast<float>(g[j] - block.q[j]);
          g[j] *= p.d_value[row];
        }
      }
    });
  });
}

}  // namespace headspark
