// Which scores of a tile of queries and keys count: keys up to the query's own, and not before its
// window. What a row does not see becomes -infinity.
#pragma once

#include "cuda/bf16_terms.h"
#include "headspark/ops/attention.h"

namespace headspark::cuda {

/// Scores of keys past a row's position become -infinity; position[0] is not past position[1].
template <int Pieces>
HEADSPARK_DEVICE void hide_later_keys(FragmentC (&s)[Pieces], const std::int32_t (&position)[2],
                                      std::int32_t first_key) {
  if (first_key + 8 * Pieces - 1 <= position[0]) return;
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) {
      const std::int32_t key = first_key + 8 * n + lane_index() % 4 * 2 + r % 2;
      if (key > position[r / 2]) s[n].r[r] = -infinity();
    }
  }
}

/// Scores of keys before the first that a row sees become -infinity.
template <int Pieces>
HEADSPARK_DEVICE void hide_earlier_keys(FragmentC (&s)[Pieces], const std::int32_t (&first)[2],
                                        std::int32_t first_key) {
  if (first_key >= first[0] && first_key >= first[1]) return;
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) {
      const std::int32_t key = first_key + 8 * n + lane_index() % 4 * 2 + r % 2;
      if (key < first[r / 2]) s[n].r[r] = -infinity();
    }
  }
}

/// The keys that rows g and g + 8 of a warp's 16 see; last[0] is not past last[1].
struct SeenKeys {
  std::int32_t first[2];
  std::int32_t last[2];
};

HEADSPARK_DEVICE std::int32_t first_key(const AttentionShape& shape, std::int32_t position) {
  return static_cast<std::int32_t>(shape.first_key(position));
}
HEADSPARK_DEVICE SeenKeys seen_keys(const AttentionShape& shape, std::int32_t position0,
                                    std::int32_t position1) {
  return {{first_key(shape, position0), first_key(shape, position1)}, {position0, position1}};
}

/// Scores of a row's own key (`own` and `own` + 8, of rows g and g + 8) with queries before it
/// become -infinity; `from` counts queries.
template <int Pieces>
HEADSPARK_DEVICE void hide_earlier_queries(FragmentC (&s)[Pieces], std::int32_t own,
                                           std::int32_t from) {
  if (own + 8 <= from) return;
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) {
      const std::int32_t query = from + 8 * n + lane_index() % 4 * 2 + r % 2;
      if (own + r / 2 * 8 > query) s[n].r[r] = -infinity();
    }
  }
}

/// The same with queries from `unseen` on, of row g + 8 from `unseen` + 8 on: their window begins
/// after the key.
template <int Pieces>
HEADSPARK_DEVICE void hide_later_queries(FragmentC (&s)[Pieces], std::int32_t unseen,
                                         std::int32_t from) {
  if (from + 8 * Pieces <= unseen) return;
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) {
      const std::int32_t query = from + 8 * n + lane_index() % 4 * 2 + r % 2;
      if (query >= unseen + r / 2 * 8) s[n].r[r] = -infinity();
    }
  }
}

/// The own token after the last that sees key `own`, of a row of `tokens`.
HEADSPARK_DEVICE std::int32_t seen_until(const AttentionShape& shape, std::int32_t own,
                                         std::int32_t tokens) {
  const auto window = static_cast<std::int32_t>(shape.window);
  return window > 0 && window < tokens - own ? own + window : tokens;
}

}  // namespace headspark::cuda
