// The prompts of a generation, computed once: a prompt's pages are shared by its samples, and the
// ungated run of a prompt (its trunk) lends the layers below a variant's lowest gated head, and the
// residual stream that enters that layer, to every variant of the prompt.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/kv_pages.h"
#include "headspark/buffer.h"
#include "headspark/engine.h"
#include "headspark/generate.h"

namespace headspark {

/// Who waits for a prompt: what decides how deep its trunk goes and what it keeps.
struct PromptUse {
  const std::vector<std::int32_t>* prompt = nullptr;
  const std::vector<GatedHead>* gates = nullptr;  ///< acting in the prompt
  ReplacementRun run = {};                        ///< of those gates
};

/// One prompt under one set of gates (none: the trunk), whole or in the making.
class PromptState {
 public:
  /// What is being computed: layers [layers.begin, layers.end) of tokens [done, prompt size).
  struct Work {
    LayerRange layers;
    std::int64_t done = 0;
    /// Who keeps the residual entering layers.begin; null: this state itself, or the tokens.
    std::shared_ptr<const PromptState> source;
  };

  PromptState(const Engine& engine, KvPagePool& pool, const PromptUse& use);
  ~PromptState() { reset(); }

  const std::vector<std::int32_t>& prompt() const { return prompt_; }
  const std::vector<GatedHead>& gates() const { return gates_; }
  const ReplacementRun& run() const { return run_; }
  std::int64_t length() const { return static_cast<std::int64_t>(prompt_.size()); }
  std::int64_t first_gated_layer() const { return first_gated_layer_; }
  bool complete() const { return depth_ == layers_; }
  /// Layers whose keys and values are there for the whole prompt.
  std::int64_t depth() const { return depth_; }
  KvSequence& cache() { return cache_; }
  const KvSequence& cache() const { return cache_; }

  std::optional<Work>& work() { return work_; }
  const std::optional<Work>& work() const { return work_; }
  void finish_work();

  /// [tokens, hidden] entering `layer`; null when it is not kept.
  const float* residual(std::int64_t layer) const;
  float* residual(std::int64_t layer);
  /// Keeps the residual entering `layer` when the budget allows it.
  bool keep_residual(std::int64_t layer);
  /// The highest layer up to `limit` whose residual is kept and whose layers below are done; 0 when
  /// there is none (the tokens themselves are the input).
  std::int64_t nearest_start(std::int64_t limit) const;
  const std::map<std::int64_t, Buffer<float>>& residuals() const { return residuals_; }

  /// [hidden] leaving the last layer at the last token; whole when complete().
  float* last() { return last_.data(); }
  const float* last() const { return last_.data(); }

  /// Forgets everything computed.
  void reset() noexcept;

  std::uint64_t last_use = 0;

 private:
  std::int64_t residual_bytes() const;

  const Engine& engine_;
  KvPagePool& pool_;
  std::vector<std::int32_t> prompt_;
  std::vector<GatedHead> gates_;
  ReplacementRun run_;
  std::int64_t layers_;
  std::int64_t first_gated_layer_;
  std::int64_t depth_ = 0;
  KvSequence cache_;
  std::map<std::int64_t, Buffer<float>> residuals_;
  Buffer<float> last_;
  std::optional<Work> work_;
};

using PromptHandle = std::shared_ptr<PromptState>;

class PromptCache {
 public:
  PromptCache(const Engine& engine, KvPagePool& pool) : engine_(engine), pool_(pool) {}

  /// The state of a use, made empty when there is none.
  PromptHandle get(const PromptUse& use);
  /// What must be computed next for `state` to become complete: itself or its trunk, with work()
  /// set. `waiting` are the uses that will follow.
  PromptHandle next_work(const PromptHandle& state, std::span<const PromptUse> waiting);
  /// Drops the state used longest ago, but none of `kept`; false when there is none to drop.
  bool evict(std::span<const PromptState* const> kept);
  /// Computes `state` alone, from the tokens, without a trunk: takes the least memory.
  void start_alone(const PromptHandle& state);
  std::size_t size() const { return states_.size(); }

 private:
  bool start_trunk(const PromptHandle& trunk, std::span<const PromptUse> waiting,
                   std::int64_t needed);

  const Engine& engine_;
  KvPagePool& pool_;
  std::uint64_t clock_ = 0;
  std::map<std::vector<std::int32_t>, PromptHandle> states_;
};

}  // namespace headspark
