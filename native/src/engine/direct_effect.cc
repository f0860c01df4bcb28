// Everything up to the last inner product is linear in the write, so it is done once per answer and
// layer and not once per head.
#include "engine/direct_effect.h"

#include <algorithm>
#include <cmath>

#include "headspark/ops/linear.h"
#include "headspark/ops/norm.h"

namespace headspark {
namespace {

constexpr std::int64_t kChunkAnswers = 64;  // 64 x 152k weights of logits are 39 MB

/// [vocab] weights: the mean of the right tokens minus that of the wrong ones, or of all tokens.
void logit_weights(const AnswerTokens& answer, std::int64_t vocab, float* weights) {
  const float rest = answer.incorrect.empty() ? -1.0f / static_cast<float>(vocab) : 0.0f;
  std::fill_n(weights, vocab, rest);
  const auto add = [&](const std::vector<std::int32_t>& tokens, double sign) {
    for (const std::int32_t token : tokens) {
      weights[token] += static_cast<float>(sign / static_cast<double>(tokens.size()));
    }
  };
  add(answer.correct, 1.0);
  add(answer.incorrect, -1.0);
}

/// d = J u of a norm whose scale is frozen at x: RMS: w u / rms(x); LayerNorm: the same with the
/// standard deviation, minus its mean, because the norm takes the write's mean away.
void through_norm(const NormWeight& norm, const float* x, float* u, std::int64_t width) {
  const auto count = static_cast<double>(width);
  double mean = 0.0;
  if (norm.kind == NormKind::layer) {
    for (std::int64_t i = 0; i < width; ++i) mean += x[i];
    mean /= count;
  }
  double squares = 0.0;
  for (std::int64_t i = 0; i < width; ++i) squares += (x[i] - mean) * (x[i] - mean);
  const double inverse = 1.0 / std::sqrt(squares / count + static_cast<double>(norm.epsilon));
  double offset = 0.0;
  if (norm.kind == NormKind::layer) {
    for (std::int64_t i = 0; i < width; ++i) {
      offset += static_cast<double>(norm.weight[static_cast<std::size_t>(i)]) * u[i];
    }
    offset /= count;
  }
  for (std::int64_t i = 0; i < width; ++i) {
    const double weighted = static_cast<double>(norm.weight[static_cast<std::size_t>(i)]) * u[i];
    u[i] = static_cast<float>((weighted - offset) * inverse);
  }
}

}  // namespace

Buffer<float> answer_directions(const Engine& engine, std::span<const AnswerTokens* const> answers,
                                const std::vector<float>& residuals) {
  const ModelConfig& config = engine.config();
  const auto total = static_cast<std::int64_t>(answers.size());
  std::vector<float> all;
  all.reserve(static_cast<std::size_t>(total * config.hidden));
  for (std::int64_t begin = 0; begin < total; begin += kChunkAnswers) {
    const std::int64_t count = std::min(kChunkAnswers, total - begin);
    std::vector<float> weights(static_cast<std::size_t>(count * config.vocab));
    for (std::int64_t i = 0; i < count; ++i) {
      logit_weights(*answers[static_cast<std::size_t>(begin + i)], config.vocab,
                    weights.data() + i * config.vocab);
    }
    const Buffer<float> d_y(engine.context.backend, std::span<const float>(weights));
    Buffer<float> d_x(engine.context.backend, count * config.hidden);
    LinearBackward params;
    params.weight = &engine.model->unembedding;
    params.tokens = count;
    params.d_y = d_y.data();
    params.d_y_stride = config.vocab;
    params.d_x = d_x.data();
    params.d_x_stride = config.hidden;
    linear_backward(engine.context, params);
    const std::vector<float> part = d_x.to_host();
    all.insert(all.end(), part.begin(), part.end());
  }
  for (std::int64_t i = 0; i < total; ++i) {
    through_norm(engine.model->final_norm, residuals.data() + i * config.hidden,
                 all.data() + i * config.hidden, config.hidden);
  }
  return {engine.context.backend, std::span<const float>(all)};
}

std::vector<float> head_directions(const Engine& engine, std::int64_t layer,
                                   const Buffer<float>& directions) {
  const ModelConfig& config = engine.config();
  const std::int64_t width = config.heads * config.head_dim;
  const std::int64_t answers = directions.size() / config.hidden;
  const LayerWeights& weights = engine.model->layers[static_cast<std::size_t>(layer)];
  Buffer<float> d_z(engine.context.backend, answers * width);
  const float* d_write = directions.data();
  Buffer<float> before_gain;
  if (!weights.head_write_gain.empty()) {
    before_gain = Buffer<float>(engine.context.backend, directions.size());
    norm_forward(engine.context, whole_rows(weights.head_write_gain, answers, directions.data(),
                                            before_gain.data()));
    d_write = before_gain.data();
  }
  LinearBackward params;
  params.weight = &weights.o;
  params.tokens = answers;
  params.d_y = d_write;
  params.d_y_stride = config.hidden;
  params.d_x = d_z.data();
  params.d_x_stride = width;
  linear_backward(engine.context, params);
  return d_z.to_host();
}

}  // namespace headspark
