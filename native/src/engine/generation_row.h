// One request on its way through a generation.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/kv_pages.h"
#include "headspark/generate.h"

namespace headspark {

struct GenerationRow {
  std::uint64_t number = 0;  ///< older rows have smaller numbers
  GenerationRequest request;
  std::vector<GatedHead> prompt_gates;     ///< those that act in the prompt, without factors of 1
  std::vector<GatedHead> generated_gates;  ///< those that act after it
  std::vector<std::int32_t> tokens;        ///< prompt and continuation
  KvSequence cache;                        ///< empty while the row waits
  std::int64_t stored = 0;                 ///< tokens whose keys and values are in the cache
  const float* fresh = nullptr;  ///< residual at the prompt's end, before the first token is drawn

  GenerationRow(KvPagePool& pool, std::int64_t layers) : cache(pool, layers) {}

  std::int64_t prompt_length() const { return static_cast<std::int64_t>(request.prompt.size()); }
  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t generated() const { return length() - prompt_length(); }
  std::int64_t pending() const { return length() - stored; }
  /// Tokens that are ever stored: the last new one is never fed back.
  std::int64_t most_stored(std::int64_t max_positions) const {
    const std::int64_t wanted = prompt_length() + std::max(0, request.max_new_tokens - 1);
    return std::min(wanted, max_positions);
  }
};

}  // namespace headspark
