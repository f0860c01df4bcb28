// Teacher-forced ablation sweeps: many variants of gated heads on the same pairs, each as rows of
// shared batches.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "headspark/engine.h"
#include "headspark/head_gate.h"
#include "headspark/pair.h"

namespace headspark {

/// r of the gate: nothing, the head's mean z over all clean prompts (per head, or per head and
/// position), or the corrupted run's z at the same token.
enum class AblationKind { zero, mean, mean_per_position, resample };

struct AblationVariant {
  std::vector<GatedHead> heads;  ///< empty: the unablated model
};

struct SweepOptions {
  Metric metric = Metric::logit_diff;
  AblationKind kind = AblationKind::zero;
  GatePositions positions = GatePositions::all;
};

/// What a plan computes, in layers times tokens, against running every variant by itself.
struct SweepSharing {
  std::int64_t layer_tokens = 0;
  std::int64_t unshared_layer_tokens = 0;
};

/// Prepared once (means and corrupted runs), then run for any variants in any order; the values of
/// a variant do not depend on which others run beside it.
class Sweep {
 public:
  Sweep(const Engine& engine, std::vector<Pair> pairs, const SweepOptions& options,
        const RunControl& control);
  ~Sweep();
  Sweep(Sweep&&) noexcept;
  Sweep& operator=(Sweep&&) noexcept;

  std::int64_t pairs() const;

  /// [variants, pairs] metric values, and for each whether the correct token has the largest logit
  /// at (every) supervised position.
  struct Result {
    std::vector<float> values;
    std::vector<std::uint8_t> correct;
  };
  Result run(std::span<const AblationVariant> variants, const RunControl& control) const;

  /// What `run` would share: layers below a variant's first gate, and between variants with the
  /// same gates so far.
  SweepSharing sharing(std::span<const AblationVariant> variants) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace headspark
