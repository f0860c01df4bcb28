#include "engine/row_pages.h"

#include <algorithm>

#include "engine/forward.h"

namespace headspark {
std::int64_t pages_alone(const ModelConfig& config, const KvPagePool& pool,
                         const GenerationRow& row, std::int64_t pass_tokens) {
  const bool forgets = pool.hole() >= 0;
  const std::int64_t all = pages_for(row.most_stored(config.max_positions));
  const std::int64_t prompt = pages_for(row.prompt_length() + 1);  // is there as a whole
  std::int64_t pages = forgets ? 1 : 0;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::int64_t window = config.window_of(layer);
    const std::int64_t seen = pages_for(window + pass_tokens) + 1;
    pages += forgets && window > 0 ? std::min(all, std::max(seen, prompt)) : all;
  }
  return pages;
}

void forget_before_windows(const ModelConfig& config, GenerationRow& row) {
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const AttentionShape shape = attention_shape(config, layer);
    if (shape.window > 0) row.cache.forget(layer, shape.first_key(row.stored));
  }
}

}  // namespace headspark
