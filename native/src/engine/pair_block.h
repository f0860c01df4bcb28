// A micro-batch of pairs: which tokens of each pair are shared, the runs at both ends (clean and
// corrupted), and what their sources write.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/forward.h"
#include "engine/metric_head.h"
#include "headspark/graph.h"
#include "headspark/pair.h"

namespace headspark {

/// Refuses pairs of unequal length (PAIR_LENGTH) and tokens or targets that the metric or the
/// vocabulary does not allow (PAIR_FORMAT), naming the pair by its index.
void check_pairs(const Engine& engine, std::span<const Pair> pairs, Metric metric);

/// Error(INVALID_ARGUMENT) for a range that is empty or not among them.
std::span<const Pair> pairs_in(std::span<const Pair> pairs, const PairRange& range);

/// The tokens that are fed for one side of a pair: the prompt, for nll followed by all but the last
/// token of the continuation.
std::vector<std::int32_t> fed_tokens(const Pair& pair, bool corrupted);

/// Tokens at the start of both prompts that are equal and not needed by the metric.
std::int32_t shared_prefix(const Pair& pair, Metric metric);

/// Consecutive ranges [begin, end) of pairs whose own tokens number at most `max_tokens` each (a
/// single pair may exceed it).
std::vector<std::pair<std::size_t, std::size_t>> cut_pairs(std::span<const std::int32_t> tokens,
                                                           std::int64_t max_tokens);

/// The runs between which the path of integrated gradients lies.
enum class End { clean, corrupted };

class PairBlock {
 public:
  struct Options {
    Metric metric = Metric::logit_diff;
    bool share_prefix = true;
    /// What the last layer's sources write where the metric does not look; else that is 0.
    bool all_positions = false;
    /// Ends that another pass computes anyway: it gives them by take_end and set_metric. Not the
    /// clean one for kl, whose logits every other run is compared with.
    std::vector<End> given = {};
  };

  /// Runs the shared prefixes (kept as keys and values), then the ends as one batch: 2 * pairs
  /// rows, clean rows first, less those that are given.
  PairBlock(const Engine& engine, std::span<const Pair> pairs, const Options& options,
            const RotaryTables& rotary, const RunControl& control);

  std::size_t pairs() const { return pairs_.size(); }
  std::int64_t tokens() const { return begin_.back(); }  ///< own tokens of one side
  std::int32_t begin(std::size_t pair) const { return begin_[pair]; }
  std::int32_t own_length(std::size_t pair) const { return begin_[pair + 1] - begin_[pair]; }
  const Pair& pair(std::size_t index) const { return pairs_[index]; }
  const KvStore& prefix() const { return prefix_; }
  const RotaryTables& rotary() const { return rotary_; }
  Metric metric() const { return metric_; }

  /// What the sources of both ends write, the clean tokens first.
  Trace& ends() { return ends_; }
  const std::vector<float>& clean_metric() const { return clean_metric_; }
  const std::vector<float>& corrupted_metric() const { return corrupted_metric_; }
  const float* clean_logits() const { return clean_logits_.data(); }

  /// The activations of one end's sources are those of copy `copy` of the block's rows in a trace
  /// that keeps sources. The embeddings are there already.
  void take_end(const Engine& engine, End end, const Trace& trace, std::int64_t copy);
  void set_metric(End end, std::span<const float> values);

  /// `copies` copies of the block's clean rows, one after the other.
  BatchRows repeated_rows(std::int64_t copies) const;
  /// Targets for such rows.
  SupervisedRows supervised(std::int64_t copies) const;

 private:
  void run_prefixes(const Engine& engine, const RunControl& control);
  void embed_ends(const Engine& engine);
  void run_ends(const Engine& engine, std::span<const End> ends, bool all_positions,
                const RunControl& control);
  void keep_clean_logits(const Engine& engine, const SupervisedRows& rows,
                         const float* final_residual);
  BatchRows end_rows(std::span<const End> ends) const;

  std::span<const Pair> pairs_;
  Metric metric_;
  const RotaryTables& rotary_;
  std::vector<std::vector<std::int32_t>> clean_;  ///< fed tokens
  std::vector<std::vector<std::int32_t>> corrupted_;
  std::vector<std::int32_t> prefix_length_;
  std::vector<std::int32_t> prefix_begin_;
  std::vector<std::int32_t> begin_;
  KvStore prefix_;
  Trace ends_;
  std::vector<float> clean_metric_;
  std::vector<float> corrupted_metric_;
  Buffer<float> clean_logits_;  ///< [logits rows, vocab], kl only
};

/// Expands LayerTrace::written [tokens, heads, head_dim] of one layer into what each head writes to
/// the residual stream: writes[head] = z_head W_O[head]ᵀ, times the weight of the norm that stands
/// after it, [tokens, hidden], `stride` floats apart. b_O is not part of it. `type` is of the
/// writes (LinearForward::type).
void expand_head_writes(const Engine& engine, std::int64_t layer, std::int64_t tokens,
                        const float* written, float* writes, std::int64_t stride,
                        DType type = DType::f32);
/// The same of some heads, wherever their writes go.
struct HeadWrite {
  std::int64_t head = 0;
  float* y = nullptr;  ///< [tokens, hidden]
};
void expand_head_writes(const Engine& engine, std::int64_t layer, std::int64_t tokens,
                        const float* written, std::span<const HeadWrite> heads,
                        DType type = DType::f32);

/// to = corrupted - clean of an activation of both ends, [2, count]; `type` is of `to`.
void subtract_ends(const Engine& engine, const float* ends, std::int64_t count, float* to,
                   DType type = DType::f32);

/// What all sources write, [sources, tokens * hidden], of contracted_type: corrupted minus clean of
/// a block's ends.
Buffer<float> source_differences(const Engine& engine, const Graph& graph, PairBlock& block);

/// The same of the clean run alone.
Buffer<float> clean_writes(const Engine& engine, const Graph& graph, PairBlock& block);

}  // namespace headspark
