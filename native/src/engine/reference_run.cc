// Views of a block's corrupted run, or means repeated for every token.
#include "engine/reference_run.h"

#include "headspark/ops/rows.h"

namespace headspark {

Buffer<float> repeat_row(const Engine& engine, const std::vector<float>& row, std::int64_t tokens) {
  const std::int64_t width = std::ssize(row);
  const std::vector<std::int32_t> zeros(static_cast<std::size_t>(tokens), 0);
  const Buffer<std::int32_t> first(engine.context.backend, std::span<const std::int32_t>(zeros));
  const Buffer<float> one(engine.context.backend, std::span<const float>(row));
  Buffer<float> rows(engine.context.backend, tokens * width);
  gather_rows(engine.context, tokens, width, first.data(), one.data(), rows.data());
  return rows;
}

ReferenceRun::ReferenceRun(const Engine& engine, PairBlock& corrupted) {
  const ModelConfig& config = engine.config();
  const std::int64_t tokens = corrupted.tokens();
  const Trace& ends = corrupted.ends();
  embedding_ = ends.embedding() + tokens * config.hidden;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    written_.push_back(ends.layer(layer).written + tokens * config.heads * config.head_dim);
    mlp_.push_back(ends.layer(layer).mlp_out + tokens * config.hidden);
  }
}

ReferenceRun::ReferenceRun(const Engine& engine, const MeanActivations& means,
                           std::int64_t tokens) {
  const auto repeated = [&](const std::vector<float>& mean) -> const float* {
    return means_.emplace_back(repeat_row(engine, mean, tokens)).data();
  };
  embedding_ = repeated(means.embedding);
  for (const auto& mean : means.written) written_.push_back(repeated(mean));
  for (const auto& mean : means.mlp) mlp_.push_back(repeated(mean));
}

}  // namespace headspark
