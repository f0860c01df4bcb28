// Which scores of a tile of queries and keys count: keys up to the query's own, and not before its
// window. What a row does not see becomes -infinity.
#pragma once

#include "cuda/bf16_terms.h"
#include "headspark/ops/attention.h"

namespace headspark::cuda {

/// Scores of a warp's rows g (half 0) and g + 8 with columns, from `first` on, that are hidden.
template <int Pieces, typename Hidden>
HEADSPARK_DEVICE void hide_scores(FragmentC (&s)[Pieces], std::int32_t first,
                                  const Hidden& hidden) {
  HEADSPARK_UNROLL
  for (int n = 0; n < Pieces; ++n) {
    HEADSPARK_UNROLL
    for (int r = 0; r < 4; ++r) {
      const std::int32_t column = first + 8 * n + lane_index() % 4 * 2 + r % 2;
      if (hidden(column, r / 2)) s[n].r[r] = -infinity();
    }
  }
}

/// Scores of keys past a row's position become -infinity; position[0] is not past position[1].
template <int Pieces>
HEADSPARK_DEVICE void hide_later_keys(FragmentC (&s)[Pieces], const std::int32_t (&position)[2],
                                      std::int32_t first_key) {
  if (first_key + 8 * Pieces - 1 <= position[0]) return;
  hide_scores(s, first_key, [&](std::int32_t key, int half) { return key > position[half]; });
}

/// Scores of keys before the first that a row sees become -infinity.
template <int Pieces>
HEADSPARK_DEVICE void hide_earlier_keys(FragmentC (&s)[Pieces], const std::int32_t (&first)[2],
                                        std::int32_t first_key) {
  if (first_key >= first[0] && first_key >= first[1]) return;
  hide_scores(s, first_key, [&](std::int32_t key, int half) { return key < first[half]; });
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
  hide_scores(s, from, [&](std::int32_t query, int half) { return query < own + half * 8; });
}

/// The same with queries from `unseen` on, of row g + 8 from `unseen` + 8 on: their window begins
/// after the key.
template <int Pieces>
HEADSPARK_DEVICE void hide_later_queries(FragmentC (&s)[Pieces], std::int32_t unseen,
                                         std::int32_t from) {
  if (from + 8 * Pieces <= unseen) return;
  hide_scores(s, from, [&](std::int32_t query, int half) { return query >= unseen + half * 8; });
}

/// The own token after the last that sees key `own`, of a row of `tokens`.
HEADSPARK_DEVICE std::int32_t seen_until(const AttentionShape& shape, std::int32_t own,
                                         std::int32_t tokens) {
  const auto window = static_cast<std::int32_t>(shape.window);
  return window > 0 && window < tokens - own ? own + window : tokens;
}

}  // namespace headspark::cuda
