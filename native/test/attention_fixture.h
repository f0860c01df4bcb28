// Attention inputs for the tests: ragged rows, prefixes, grouped heads, gates of every kind.
#pragma once

#include <string>
#include <vector>

#include "headspark/ops/attention.h"
#include "op_suite.h"

namespace headspark::test {

inline constexpr Replacement kReplacements[] = {Replacement::zero, Replacement::shared,
                                                Replacement::position, Replacement::token};

struct AttentionSetting {
  std::string name;
  std::int64_t heads = 4;
  std::int64_t kv_heads = 2;
  std::int64_t head_dim = 24;
  std::vector<std::int32_t> lengths;   // own tokens per row
  std::vector<std::int32_t> prefixes;  // empty: no prefix
  bool gated = false;
  bool ranged = false;  // the gate has positions
  Replacement kind = Replacement::zero;
  float score_range = 1.0f;                    // q is drawn from +- this
  std::vector<std::int32_t> first_query = {};  // empty: every token is a query
  std::int64_t window = 0;                     // as of AttentionShape
};

/// Windows shorter and longer than rows, than blocks of queries, keys and pages, and than splits;
/// with prefixes that they leave, reach into and cover.
std::vector<AttentionSetting> windows_of_every_kind();

/// A gate of each kind of replacement, at all positions and at some.
std::vector<AttentionSetting> gates_of_every_kind();

struct AttentionFixture {
  AttentionSetting setting;
  AttentionShape shape;
  std::vector<std::int32_t> row_begin, prefix_begin, gate_begin, gate_end, replacement_begin;
  std::vector<float> q, k, v, prefix_k, prefix_v, scale, replacement, d_z;

  AttentionFixture(const AttentionSetting& setting, std::uint64_t seed);

  std::int64_t tokens() const { return row_begin.back(); }
  std::int64_t count() const { return tokens() * shape.heads * shape.head_dim; }
  RowLayout layout() const;
  HeadGate gate() const;
  AttentionForward forward() const;  // inputs only
  AttentionBackward backward() const;
  /// The fixture of one row alone, with the same prefix store.
  AttentionFixture row(std::size_t index) const;
};

struct AttentionResult {
  std::vector<float> z, raw, lse, d_q, d_k, d_v;
};

/// Forward, then backward with d_z, on arrays with guards that are checked.
AttentionResult run_attention(const Context& context, const AttentionFixture& fixture);

}  // namespace headspark::test
