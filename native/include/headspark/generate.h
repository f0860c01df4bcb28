// Generation with gated heads: continuous batching over a paged key/value cache. Rows of different
// variants share every weight read; a row's tokens depend on its own request alone, bit for bit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "headspark/engine.h"
#include "headspark/head_gate.h"
#include "headspark/ops/sample_rows.h"

namespace headspark {

/// Which rows of the replacement table a request's gates take: position p takes row begin + p, and
/// from p = length on the rows from begin + loop to begin + length go round. The default is row 0
/// at every position: a mean.
struct ReplacementRun {
  std::int32_t begin = 0;
  std::int32_t length = 1;
  std::int32_t loop = 0;  ///< in [0, length)
  bool operator==(const ReplacementRun&) const = default;
};

struct GenerationRequest {
  std::vector<std::int32_t> prompt = {};
  std::vector<GatedHead> heads = {};
  GatePositions positions = GatePositions::all;
  ReplacementRun replacement = {};  ///< not read when the generation's table is empty
  SamplingOptions sampling = {};
  std::uint64_t seed = 0;  ///< token i is drawn with Philox(seed, i): no other state
  std::int32_t max_new_tokens = 64;
  std::vector<std::int32_t> stop_tokens = {};  ///< the one met is kept as the last token
  bool log_probs = false;                      ///< whether events tell them
};

struct GenerationOptions {
  std::int32_t max_rows = 64;     ///< rows decoded together
  std::int64_t memory_bytes = 0;  ///< <= 0: the engine's workspace budget
  /// r of the gates, [layers, rows, heads, head_dim]: one row for means, several for activations
  /// that requests choose by position. Empty: zero. Not part of the budget.
  std::vector<float> replacement = {};
};

/// Why a row ended: a stop token, max_new_tokens, or the model's last position.
enum class Finish { none, stop_token, length, context };

/// One new token of a request, or its end, or both.
struct GenerationEvent {
  std::uint64_t request = 0;
  std::int32_t token = -1;  ///< -1: the row ended without a new one
  Finish finish = Finish::none;
  /// At temperature 0 the largest logit (after the penalty) minus the second largest, >= 0: how
  /// near the token was to being another one.
  float margin = kNoMargin;
  /// DrawnToken says of which distribution; kNoLogProb where the request does not ask.
  float log_prob = kNoLogProb;
};
using GenerationSink = std::function<void(const GenerationEvent&)>;

struct GenerationStats {
  std::int64_t steps = 0;                   ///< decode passes
  std::int64_t decoded_tokens = 0;          ///< tokens fed to them
  std::int64_t prefilled_layer_tokens = 0;  ///< prompt tokens times the layers they ran through
  std::int64_t preemptions = 0;  ///< rows that gave up their pages and were computed again
  std::int64_t pages_used = 0;
  std::int64_t most_pages_used = 0;
  std::int64_t page_capacity = 0;
  std::int64_t uploaded_pages = 0;  ///< page pointers copied for repeated steps
  RepeatCounts step_repeats;        ///< of the decode passes, where the device repeats work
  RepeatCounts draw_repeats;        ///< of final norm, unembedding and draw
};

/// Requests wait, join the batch as soon as rows and memory allow it, and leave when they end. When
/// pages run out the youngest row gives up its own and is computed again later. One thread at a
/// time.
class Generator {
 public:
  /// The engine must outlive the generator. Errors: INVALID_ARGUMENT for options out of range.
  Generator(const Engine& engine, GenerationOptions options);
  ~Generator();
  Generator(Generator&&) noexcept;

  /// Queues a request and returns its number: 0, 1, 2, … Errors: INVALID_ARGUMENT naming what is
  /// wrong with it, OUT_OF_MEMORY when it could not fit the budget even alone.
  std::uint64_t add(GenerationRequest request);
  /// Ends a request without an event; it gets no more tokens. Unknown and ended ones are ignored.
  void stop(std::uint64_t request);
  /// True when no request waits or runs.
  bool idle() const;
  std::int64_t waiting() const;
  std::int64_t running() const;

  /// Computes some prompts and one more token of every running row.
  void step(const RunControl& control, const GenerationSink& sink);
  GenerationStats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct GenerateOptions {
  std::int32_t max_new_tokens = 64;
  std::vector<std::int32_t> stop_tokens;  ///< ends a row; the stop token is kept as its last token
};

struct GenerateRow {
  std::vector<std::int32_t> prompt;
  std::vector<GatedHead> heads;  ///< zero ablation or scaling of this row's heads, at all positions
};

/// The new tokens of each row, greedily. A row's tokens do not depend on the other rows. Ties of
/// the largest logit go to the smallest token id.
std::vector<std::vector<std::int32_t>> generate_greedy(const Engine& engine,
                                                       std::span<const GenerateRow> rows,
                                                       const GenerateOptions& options,
                                                       const RunControl& control);

}  // namespace headspark
