// Chunks of logits rows, the metric on them, and back.
#include "engine/metric_head.h"

#include <algorithm>
#include <numeric>

#include "engine/output_rows.h"
#include "headspark/ops/argmax.h"
#include "headspark/ops/logit_diff.h"

namespace headspark {
namespace {

constexpr std::size_t kChunkRows = 64;  // 64 x 152k logits are 39 MB

/// Some of the logits rows, by number.
using RowNumbers = std::span<const std::int32_t>;

template <typename T>
std::vector<T> at_rows(std::span<const T> values, RowNumbers rows) {
  std::vector<T> some;
  some.reserve(rows.size());
  for (const std::int32_t row : rows) some.push_back(values[static_cast<std::size_t>(row)]);
  return some;
}

template <typename T>
Buffer<T> to_device(const Engine& engine, const std::vector<T>& values) {
  return Buffer<T>(engine.context.backend, std::span<const T>(values));
}

/// Logits and their gradient of one chunk after the other; fresh memory for each would cost a
/// seventh of the time.
struct ChunkMemory {
  Buffer<float> logits;
  Buffer<float> d_logits;  ///< empty where no gradient is wanted

  ChunkMemory() = default;  ///< where no logits are needed
  ChunkMemory(const Engine& engine, std::int32_t most_rows, bool gradient) {
    const std::int64_t size = most_rows * engine.config().vocab;
    logits = Buffer<float>(engine.context.backend, size);
    if (gradient) d_logits = Buffer<float>(engine.context.backend, size);
  }
};

/// One chunk of logits rows.
struct Chunk {
  const Engine& engine;
  RowNumbers numbers;
  ChunkMemory& memory;
  OutputRows rows;

  Chunk(const Engine& used, const SupervisedRows& supervised, RowNumbers some, ChunkMemory& kept)
      : engine(used),
        numbers(some),
        memory(kept),
        rows(used, at_rows(std::span(supervised.token), some)) {}

  std::int32_t count() const { return rows.count(); }
};

/// A compressed-row token list of some rows.
struct TokenSets {
  Buffer<std::int32_t> values;
  Buffer<std::int32_t> begin;

  TokenSets(const Engine& engine, const std::vector<std::int32_t>& all,
            const std::vector<std::int32_t>& begins, RowNumbers rows) {
    std::vector<std::int32_t> tokens;
    std::vector<std::int32_t> offsets{0};
    for (const std::int32_t row : rows) {
      const auto index = static_cast<std::size_t>(row);
      tokens.insert(tokens.end(), all.begin() + begins[index], all.begin() + begins[index + 1]);
      offsets.push_back(static_cast<std::int32_t>(tokens.size()));
    }
    values = to_device(engine, tokens);
    begin = to_device(engine, offsets);
  }
};

/// Weight of every logits row: its batch row's weight over the row's number of positions.
std::vector<float> logits_weights(const SupervisedRows& rows, std::span<const float> d_value) {
  std::vector<float> weights(rows.token.size());
  for (std::int32_t row = 0; row < rows.rows(); ++row) {
    const auto index = static_cast<std::size_t>(row);
    const std::int32_t first = rows.row_begin[index];
    const std::int32_t last = rows.row_begin[index + 1];
    for (std::int32_t i = first; i < last; ++i) {
      weights[static_cast<std::size_t>(i)] = d_value[index] / static_cast<float>(last - first);
    }
  }
  return weights;
}

bool contains(const SupervisedRows& rows, std::int32_t logits_row, std::int32_t token) {
  const auto index = static_cast<std::size_t>(logits_row);
  const auto first = rows.correct.begin() + rows.correct_begin[index];
  const auto last = rows.correct.begin() + rows.correct_begin[index + 1];
  return std::find(first, last, token) != last;
}

struct LogitsRowResults {
  std::vector<float> value;
  std::vector<std::uint8_t> correct;
};

/// The metric's operands for one chunk of logits rows, on the device.
struct ChunkTargets {
  TokenSets correct;
  TokenSets incorrect;
  Buffer<std::int32_t> clean_row;  ///< of kl
  Buffer<float> value;
  MetricForward forward;

  ChunkTargets(const MetricRun& run, const Chunk& chunk)
      : correct(chunk.engine, run.rows->correct, run.rows->correct_begin, chunk.numbers),
        incorrect(chunk.engine, run.rows->incorrect, run.rows->incorrect_begin, chunk.numbers),
        value(chunk.engine.context.backend, chunk.count()) {
    forward.metric = run.metric;
    forward.rows = chunk.count();
    forward.vocab = chunk.engine.config().vocab;
    forward.logits = chunk.memory.logits.data();
    forward.correct = correct.values.data();
    forward.correct_begin = correct.begin.data();
    forward.incorrect = incorrect.values.data();
    forward.incorrect_begin = incorrect.begin.data();
    forward.value = value.data();
    if (run.metric != Metric::kl) return;
    const std::vector<std::int32_t> clean = at_rows(std::span(run.rows->clean_row), chunk.numbers);
    clean_row = to_device(chunk.engine, clean);
    forward.clean_logits = run.clean_logits;
    forward.clean_row = clean_row.data();
    forward.clean_rows = 1 + *std::max_element(clean.begin(), clean.end());
  }
};

void read_values(const Chunk& chunk, const ChunkTargets& targets, LogitsRowResults& results) {
  const std::vector<float> values = targets.value.to_host();
  for (std::size_t i = 0; i < values.size(); ++i) {
    results.value[static_cast<std::size_t>(chunk.numbers[i])] = values[i];
  }
}

void read_correct(const MetricRun& run, const Chunk& chunk, LogitsRowResults& results) {
  const Engine& engine = chunk.engine;
  Buffer<std::int32_t> largest(engine.context.backend, chunk.count());
  argmax_rows(engine.context, chunk.count(), engine.config().vocab, chunk.memory.logits.data(),
              largest.data());
  const std::vector<std::int32_t> argmax = largest.to_host();
  for (std::size_t i = 0; i < argmax.size(); ++i) {
    const std::int32_t row = chunk.numbers[i];
    results.correct[static_cast<std::size_t>(row)] = contains(*run.rows, row, argmax[i]) ? 1 : 0;
  }
}

/// Whether the metric is read at its own tokens, without the other logits.
bool reads_own_tokens(const Engine& engine, const MetricRun& run) {
  return run.metric == Metric::logit_diff && !run.correct &&
         low_rank_of(engine.model->unembedding) == nullptr;
}

/// run_chunk of what reads_own_tokens.
void run_own_tokens(const MetricRun& run, Chunk& chunk, std::span<const float> weights,
                    LogitsRowResults& results) {
  const Engine& engine = chunk.engine;
  const ChunkTargets targets(run, chunk);
  LogitDiffForward forward;
  forward.unembedding = &engine.model->unembedding;
  forward.rows = chunk.count();
  forward.x = chunk.rows.norm(run.final_residual);
  forward.correct = targets.forward.correct;
  forward.correct_begin = targets.forward.correct_begin;
  forward.incorrect = targets.forward.incorrect;
  forward.incorrect_begin = targets.forward.incorrect_begin;
  forward.value = targets.forward.value;
  logit_diff_forward(engine.context, forward);
  read_values(chunk, targets, results);
  if (weights.empty()) return;
  const Buffer<float> d_value = to_device(engine, at_rows(weights, chunk.numbers));
  logit_diff_backward(
      engine.context,
      {.forward = forward, .d_value = d_value.data(), .d_x = chunk.rows.d_normed()});
  chunk.rows.backward_norm(run.d_final_residual);
}

/// Forward of one chunk, and its backward where `weights` (of all logits rows) are given.
void run_chunk(const MetricRun& run, Chunk& chunk, std::span<const float> weights,
               LogitsRowResults& results) {
  const Engine& engine = chunk.engine;
  chunk.rows.forward(run.final_residual, chunk.memory.logits.data());
  const ChunkTargets targets(run, chunk);
  metric_forward(engine.context, targets.forward);
  read_values(chunk, targets, results);
  if (run.correct) read_correct(run, chunk, results);
  if (weights.empty()) return;
  const Buffer<float> d_value = to_device(engine, at_rows(weights, chunk.numbers));
  float* const d_logits = chunk.memory.d_logits.data();
  metric_backward(engine.context,
                  {.forward = targets.forward, .d_value = d_value.data(), .d_logits = d_logits});
  chunk.rows.backward(d_logits, run.d_final_residual);
}

/// The order in which logits rows are computed: for kl, those of one clean row beside each other,
/// because they share its probabilities.
std::vector<std::int32_t> row_order(const MetricRun& run) {
  std::vector<std::int32_t> order(run.rows->token.size());
  std::iota(order.begin(), order.end(), 0);
  if (run.metric == Metric::kl) {
    const std::vector<std::int32_t>& clean = run.rows->clean_row;
    std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
      return clean[static_cast<std::size_t>(a)] < clean[static_cast<std::size_t>(b)];
    });
  }
  return order;
}

/// Means over the logits rows of every batch row.
MetricValues batch_row_values(const SupervisedRows& rows, const LogitsRowResults& results) {
  MetricValues values;
  for (std::int32_t row = 0; row < rows.rows(); ++row) {
    const auto index = static_cast<std::size_t>(row);
    const std::int32_t first = rows.row_begin[index];
    const std::int32_t last = rows.row_begin[index + 1];
    double sum = 0.0;
    for (std::int32_t i = first; i < last; ++i) sum += results.value[static_cast<std::size_t>(i)];
    values.value.push_back(static_cast<float>(sum / (last - first)));
    if (results.correct.empty()) continue;
    values.correct.push_back(std::all_of(results.correct.begin() + first,
                                         results.correct.begin() + last,
                                         [](std::uint8_t one) { return one != 0; })
                                 ? 1
                                 : 0);
  }
  return values;
}

}  // namespace

std::int32_t supervised_length(const Pair& pair, Metric metric) {
  return metric == Metric::nll ? static_cast<std::int32_t>(pair.continuation.size()) : 1;
}

void SupervisedRows::add(const Pair& pair, Metric metric, std::int32_t last_token,
                         std::int32_t clean) {
  const std::int32_t length = supervised_length(pair, metric);
  for (std::int32_t i = 0; i < length; ++i) {
    token.push_back(last_token - (length - 1) + i);
    if (metric == Metric::nll) {
      correct.push_back(pair.continuation[static_cast<std::size_t>(i)]);
    } else {
      correct.insert(correct.end(), pair.correct.begin(), pair.correct.end());
      incorrect.insert(incorrect.end(), pair.incorrect.begin(), pair.incorrect.end());
    }
    correct_begin.push_back(static_cast<std::int32_t>(correct.size()));
    incorrect_begin.push_back(static_cast<std::int32_t>(incorrect.size()));
    clean_row.push_back(clean);
  }
  row_begin.push_back(logits_rows());
}

std::vector<std::int32_t> SupervisedRows::counts() const {
  std::vector<std::int32_t> counts;
  for (std::size_t row = 0; row + 1 < row_begin.size(); ++row) {
    counts.push_back(row_begin[row + 1] - row_begin[row]);
  }
  return counts;
}

void SupervisedRows::pack() {
  std::iota(token.begin(), token.end(), 0);
}

MetricValues run_metric(const Engine& engine, const MetricRun& run) {
  const SupervisedRows& rows = *run.rows;
  const std::vector<float> weights =
      run.d_value.empty() ? std::vector<float>() : logits_weights(rows, run.d_value);
  LogitsRowResults results;
  results.value.resize(rows.token.size());
  results.correct.resize(run.correct ? rows.token.size() : 0);
  const std::vector<std::int32_t> order = row_order(run);
  const bool own_tokens = reads_own_tokens(engine, run);
  const std::size_t most = own_tokens ? order.size() : std::min(kChunkRows, order.size());
  ChunkMemory memory;
  if (!own_tokens) {
    memory = ChunkMemory(engine, static_cast<std::int32_t>(most), !weights.empty());
  }
  for (std::size_t begin = 0; begin < order.size(); begin += most) {
    const RowNumbers some = RowNumbers(order).subspan(begin, std::min(most, order.size() - begin));
    Chunk chunk(engine, rows, some, memory);
    (own_tokens ? run_own_tokens : run_chunk)(run, chunk, weights, results);
  }
  return batch_row_values(rows, results);
}

}  // namespace headspark
