// Chunks of rows through the unembedding, then one draw per row on the threads.
#include "engine/decode_head.h"

#include <algorithm>

#include "headspark/ops/linear.h"
#include "headspark/ops/norm.h"

namespace headspark {

DecodeHead::DecodeHead(const Engine& engine)
    : engine_(engine),
      input_(engine.context.backend),
      logits_(engine.context.backend),
      copies_(engine.context) {}

std::int64_t DecodeHead::workspace_bytes(const ModelConfig& config) {
  return kRows * (config.vocab + config.hidden) * 4;
}

std::vector<DrawnToken> DecodeHead::sample(std::span<const float* const> residuals,
                                           std::span<const TokenDraw> draws) {
  std::vector<DrawnToken> drawn(residuals.size());
  for (std::size_t begin = 0; begin < residuals.size(); begin += kRows) {
    const std::size_t count = std::min<std::size_t>(kRows, residuals.size() - begin);
    sample_chunk(residuals.subspan(begin, count), draws.subspan(begin, count),
                 drawn.data() + begin);
  }
  return drawn;
}

void DecodeHead::sample_chunk(std::span<const float* const> residuals,
                              std::span<const TokenDraw> draws, DrawnToken* drawn) {
  const ModelConfig& config = engine_.config();
  const Context& context = engine_.context;
  const auto rows = static_cast<std::int64_t>(residuals.size());
  float* input = input_.reserve(rows * config.hidden);
  for (std::int64_t i = 0; i < rows; ++i) {
    copies_.add(residuals[static_cast<std::size_t>(i)], input + i * config.hidden);
  }
  copies_.run(config.hidden);
  norm_forward(context, {.norm = &engine_.model->final_norm,
                         .rows = rows,
                         .x = input,
                         .x_stride = config.hidden,
                         .y = input,
                         .y_stride = config.hidden});
  float* logits = logits_.reserve(rows * config.vocab);
  LinearForward params;
  params.weight = &engine_.model->unembedding;
  params.tokens = rows;
  params.x = input;
  params.x_stride = config.hidden;
  params.y = logits;
  params.y_stride = config.vocab;
  linear_forward(context, params);
  if (!context.on_cpu()) {
    host_.resize(static_cast<std::size_t>(rows * config.vocab));
    context.backend->copy_to_host(host_.data(), logits, rows * config.vocab * 4);
    logits = host_.data();
  }
  context.threads->parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::span<float> row(logits + i * config.vocab, static_cast<std::size_t>(config.vocab));
      drawn[i] = sample_token(context.isa, draws[static_cast<std::size_t>(i)], row);
    }
  });
}

}  // namespace headspark
