// One gather: query heads of a key/value head are neighbours.
#include "engine/kv_heads.h"

#include <vector>

#include "headspark/buffer.h"
#include "headspark/ops/rows.h"

namespace headspark {

void repeat_kv_heads(const Engine& engine, std::int64_t tokens, const float* kv, float* heads) {
  const ModelConfig& config = engine.config();
  const auto share = static_cast<std::size_t>(config.heads / config.kv_heads);
  std::vector<std::int32_t> source;
  source.reserve(static_cast<std::size_t>(tokens * config.heads));
  for (std::int64_t slot = 0; slot < tokens * config.kv_heads; ++slot) {
    source.insert(source.end(), share, static_cast<std::int32_t>(slot));
  }
  const Buffer<std::int32_t> rows(engine.context.backend, std::span<const std::int32_t>(source));
  gather_rows(engine.context, rows.size(), config.head_dim, rows.data(), kv, heads);
}

}  // namespace headspark
