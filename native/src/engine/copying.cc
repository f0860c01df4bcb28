// The vocab x vocab matrix W_U W_O W_V W_E of a head has the non-zero eigenvalues of the head_dim x
// head_dim matrix W_V (W_E W_U) W_O, and the bracket is the same for all heads: one product over
// the vocabulary, then two small ones per head. Norm weights: the attention norm's on W_V's inputs,
// the final norm's on W_U's; LayerNorm also takes means away from embeddings and from what is
// unembedded.
#include "engine/copying.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include "engine/eigenvalues.h"
#include "headspark/buffer.h"
#include "headspark/ops/edge_contraction.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/norm.h"

namespace headspark {
namespace {

constexpr std::int64_t kVocabChunk = 4096;

/// Rows of W_E or W_U on the host, as the residual stream meets them.
struct TokenRows {
  const WeightView* view = nullptr;
  const LowRank* low_rank = nullptr;         // of W_U
  const std::vector<float>* gain = nullptr;  // the final norm's weights, for W_U
  bool centred = false;                      // LayerNorm: no mean over the width

  void read(std::int64_t token, std::vector<double>& row) const {
    for (std::int64_t i = 0; i < view->cols; ++i) row[i] = view->at(token, i);
    for (std::int64_t r = 0; low_rank != nullptr && r < low_rank->rank; ++r) {
      const double b = static_cast<double>(low_rank->scale) * low_rank->b.at(token, r);
      for (std::int64_t i = 0; i < view->cols; ++i) row[i] += b * low_rank->a.at(r, i);
    }
    for (std::int64_t i = 0; gain != nullptr && i < view->cols; ++i) row[i] *= (*gain)[i];
    if (!centred) return;
    double mean = 0.0;
    for (const double value : row) mean += value;
    mean /= static_cast<double>(view->cols);
    for (double& value : row) value -= mean;
  }
};

class EmbeddingProduct {
 public:
  EmbeddingProduct(const Engine& engine, const RunControl& control)
      : engine_(engine), hidden_(engine.config().hidden), vocab_(engine.config().vocab) {
    const Model& model = *engine.model;
    embedding_ = {.view = &model.embedding,
                  .centred = model.layers.front().attention_norm.kind == NormKind::layer};
    unembedding_ = {.view = &model.unembedding.view,
                    .low_rank = model.unembedding.low_rank.get(),
                    .gain = &model.final_norm.weight,
                    .centred = model.final_norm.kind == NormKind::layer};
    const std::vector<double> none(static_cast<std::size_t>(hidden_), 0.0);
    const std::vector<double> mean = mean_row(control);
    product_ = Buffer<float>(engine.context.backend, hidden_ * hidden_);
    product_.zero();
    for (std::int64_t begin = 0; begin < vocab_; begin += kVocabChunk) {
      control.check();
      const std::int64_t count = std::min(kVocabChunk, vocab_ - begin);
      const Buffer<float> e = columns(embedding_, none, begin, count);
      const Buffer<float> u = columns(unembedding_, mean, begin, count);
      edge_contraction(engine.context, {.sources = hidden_,
                                        .destinations = hidden_,
                                        .length = count,
                                        .delta = u.data(),
                                        .delta_stride = count,
                                        .gradient = e.data(),
                                        .gradient_stride = count,
                                        .scores = product_.data(),
                                        .scores_stride = hidden_});
    }
  }

  /// [hidden of the unembedding, hidden of the embedding]
  const float* data() const { return product_.data(); }

 private:
  /// The unembedding's mean over the vocabulary: logits matter up to a common shift.
  std::vector<double> mean_row(const RunControl& control) const {
    const std::int64_t parts = (vocab_ + kVocabChunk - 1) / kVocabChunk;
    std::vector<std::vector<double>> sums(static_cast<std::size_t>(parts));
    engine_.context.threads->parallel_for(parts, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<double> row(static_cast<std::size_t>(hidden_));
      for (std::int64_t part = begin; part < end; ++part) {
        control.check();
        std::vector<double>& sum = sums[static_cast<std::size_t>(part)];
        sum.assign(row.size(), 0.0);
        const std::int64_t last = std::min((part + 1) * kVocabChunk, vocab_);
        for (std::int64_t token = part * kVocabChunk; token < last; ++token) {
          unembedding_.read(token, row);
          for (std::size_t i = 0; i < row.size(); ++i) sum[i] += row[i];
        }
      }
    });
    std::vector<double> mean(static_cast<std::size_t>(hidden_), 0.0);
    for (const std::vector<double>& sum : sums) {
      for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += sum[i];
    }
    for (double& value : mean) value /= static_cast<double>(vocab_);
    return mean;
  }

  /// [hidden, count]: rows of tokens from `begin` on, minus `mean`, transposed.
  Buffer<float> columns(const TokenRows& rows, const std::vector<double>& mean, std::int64_t begin,
                        std::int64_t count) const {
    std::vector<float> host(static_cast<std::size_t>(hidden_ * count));
    engine_.context.threads->parallel_for(count, 64, [&](std::int64_t first, std::int64_t last) {
      std::vector<double> row(static_cast<std::size_t>(hidden_));
      for (std::int64_t t = first; t < last; ++t) {
        rows.read(begin + t, row);
        for (std::int64_t i = 0; i < hidden_; ++i) {
          host[static_cast<std::size_t>(i * count + t)] = static_cast<float>(
              row[static_cast<std::size_t>(i)] - mean[static_cast<std::size_t>(i)]);
        }
      }
    });
    return {engine_.context.backend, std::span<const float>(host)};
  }

  const Engine& engine_;
  std::int64_t hidden_;
  std::int64_t vocab_;
  TokenRows embedding_;
  TokenRows unembedding_;
  Buffer<float> product_;
};

std::vector<float> identity(std::int64_t n) {
  std::vector<float> matrix(static_cast<std::size_t>(n * n), 0.0f);
  for (std::int64_t i = 0; i < n; ++i) matrix[static_cast<std::size_t>(i * n + i)] = 1.0f;
  return matrix;
}

/// W_V of the head's key/value head with the attention norm's weights, [head_dim, hidden].
Buffer<float> value_weights(const Engine& engine, const HeadIndex& head, const float* unit) {
  const ModelConfig& config = engine.config();
  const LayerWeights& layer = engine.model->layers[static_cast<std::size_t>(head.layer)];
  const std::int64_t kv_head = head.head / (config.heads / config.kv_heads);
  Buffer<float> dense(engine.context.backend, config.head_dim * config.hidden);
  LinearBackward params;
  params.weight = &layer.v;
  params.slice.out_begin = kv_head * config.head_dim;
  params.slice.out_end = params.slice.out_begin + config.head_dim;
  params.tokens = config.head_dim;
  params.d_y = unit;
  params.d_y_stride = config.head_dim;
  params.d_x = dense.data();
  params.d_x_stride = config.hidden;
  linear_backward(engine.context, params);
  std::vector<float> host = dense.to_host();
  for (std::size_t i = 0; i < host.size(); ++i) {
    host[i] *= layer.attention_norm.weight[i % static_cast<std::size_t>(config.hidden)];
  }
  return {engine.context.backend, std::span<const float>(host)};
}

/// W_O of the head, with the weights of the norm after it, [head_dim, hidden].
Buffer<float> output_weights(const Engine& engine, const HeadIndex& head, const float* unit) {
  const ModelConfig& config = engine.config();
  Buffer<float> dense(engine.context.backend, config.head_dim * config.hidden);
  const LayerWeights& layer = engine.model->layers[static_cast<std::size_t>(head.layer)];
  LinearForward params;
  params.weight = &layer.o;
  params.slice.in_begin = head.head * config.head_dim;
  params.slice.in_end = params.slice.in_begin + config.head_dim;
  params.tokens = config.head_dim;
  params.x = unit;
  params.x_stride = config.head_dim;
  params.y = dense.data();
  params.y_stride = config.hidden;
  params.with_bias = false;
  linear_forward(engine.context, params);
  if (!layer.head_write_gain.empty()) {
    norm_forward(engine.context,
                 whole_rows(layer.head_write_gain, config.head_dim, dense.data(), dense.data()));
  }
  return dense;
}

/// to[rows, columns] = a [rows, hidden] b [columns, hidden]ᵀ
Buffer<float> multiply(const Engine& engine, const Buffer<float>& a, const float* b,
                       std::int64_t columns) {
  const ModelConfig& config = engine.config();
  Buffer<float> to(engine.context.backend, config.head_dim * columns);
  to.zero();
  edge_contraction(engine.context, {.sources = config.head_dim,
                                    .destinations = columns,
                                    .length = config.hidden,
                                    .delta = a.data(),
                                    .delta_stride = config.hidden,
                                    .gradient = b,
                                    .gradient_stride = config.hidden,
                                    .scores = to.data(),
                                    .scores_stride = columns});
  return to;
}

float score_of(const std::vector<std::complex<double>>& values) {
  double sum = 0.0;
  double magnitude = 0.0;
  for (const std::complex<double>& value : values) {
    sum += value.real();  // complex ones come in pairs: their sum is real
    magnitude += std::abs(value);
  }
  return static_cast<float>(sum / magnitude);
}

}  // namespace

std::vector<float> copying_scores(const Engine& engine, std::span<const HeadIndex> heads,
                                  const RunControl& control) {
  const ModelConfig& config = engine.config();
  control.report({0, heads.size(), "copying"});
  const EmbeddingProduct product(engine, control);
  const Buffer<float> unit(engine.context.backend,
                           std::span<const float>(identity(config.head_dim)));
  std::vector<std::vector<float>> matrices(heads.size());
  for (std::size_t i = 0; i < heads.size(); ++i) {
    control.check();
    control.report({i, heads.size(), "copying"});
    const Buffer<float> v = value_weights(engine, heads[i], unit.data());
    const Buffer<float> o = output_weights(engine, heads[i], unit.data());
    const Buffer<float> read = multiply(engine, v, product.data(), config.hidden);
    matrices[i] = multiply(engine, read, o.data(), config.head_dim).to_host();
  }
  std::vector<float> scores(heads.size());
  engine.context.threads->parallel_for(
      std::ssize(heads), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          control.check();
          const std::vector<float>& matrix = matrices[static_cast<std::size_t>(i)];
          scores[static_cast<std::size_t>(i)] =
              score_of(eigenvalues({matrix.begin(), matrix.end()}, config.head_dim));
        }
      });
  control.report({heads.size(), heads.size(), "copying"});
  return scores;
}

}  // namespace headspark
