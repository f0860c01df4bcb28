// Chunks of logits rows, the metric on them, and back.
#include "engine/metric_head.h"

#include <algorithm>
#include <numeric>

#include "engine/output_rows.h"
#include "headspark/ops/argmax.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

constexpr std::int32_t kChunkRows = 64;  // 64 x 152k logits are 39 MB

/// One chunk of logits rows.
struct Chunk {
  const Engine& engine;
  std::int32_t begin;
  std::int32_t count;
  OutputRows rows;
  Buffer<float> logits;

  Chunk(const Engine& used, std::span<const std::int32_t> tokens, std::int32_t first)
      : engine(used),
        begin(first),
        count(static_cast<std::int32_t>(tokens.size())),
        rows(used, tokens),
        logits(used.context.backend, count * used.config().vocab) {}
};

/// A window of a compressed-row token list, starting at 0.
struct TokenSets {
  Buffer<std::int32_t> values;
  Buffer<std::int32_t> begin;

  TokenSets(const Context& context, const std::vector<std::int32_t>& all,
            const std::vector<std::int32_t>& begins, std::int32_t first, std::int32_t count) {
    const auto from = static_cast<std::size_t>(first);
    std::vector<std::int32_t> window(begins.begin() + first, begins.begin() + first + count + 1);
    const std::int32_t base = begins[from];
    const std::int32_t end = window.back();
    for (std::int32_t& value : window) value -= base;
    begin = Buffer<std::int32_t>(context.backend, std::span<const std::int32_t>(window));
    values = Buffer<std::int32_t>(
        context.backend, std::span<const std::int32_t>(all).subspan(
                             static_cast<std::size_t>(base), static_cast<std::size_t>(end - base)));
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
  Buffer<float> clean;  ///< [rows, vocab] for kl, else empty
  Buffer<float> value;
  MetricForward forward;

  ChunkTargets(const MetricRun& run, const Engine& engine, const Chunk& chunk)
      : correct(engine.context, run.rows->correct, run.rows->correct_begin, chunk.begin,
                chunk.count),
        incorrect(engine.context, run.rows->incorrect, run.rows->incorrect_begin, chunk.begin,
                  chunk.count),
        value(engine.context.backend, chunk.count) {
    const std::int64_t vocab = engine.config().vocab;
    if (run.metric == Metric::kl) {
      const auto rows = std::span<const std::int32_t>(run.rows->clean_row)
                            .subspan(static_cast<std::size_t>(chunk.begin),
                                     static_cast<std::size_t>(chunk.count));
      const Buffer<std::int32_t> index(engine.context.backend, rows);
      clean = Buffer<float>(engine.context.backend, chunk.count * vocab);
      gather_rows(engine.context, chunk.count, vocab, index.data(), run.clean_logits, clean.data());
    }
    forward.metric = run.metric;
    forward.rows = chunk.count;
    forward.vocab = vocab;
    forward.logits = chunk.logits.data();
    forward.correct = correct.values.data();
    forward.correct_begin = correct.begin.data();
    forward.incorrect = incorrect.values.data();
    forward.incorrect_begin = incorrect.begin.data();
    forward.clean_logits = clean.data();
    forward.value = value.data();
  }
};

void read_results(const MetricRun& run, const Engine& engine, const Chunk& chunk,
                  const ChunkTargets& targets, LogitsRowResults& results) {
  Buffer<std::int32_t> largest(engine.context.backend, chunk.count);
  argmax_rows(engine.context, chunk.count, engine.config().vocab, chunk.logits.data(),
              largest.data());
  const std::vector<float> values = targets.value.to_host();
  const std::vector<std::int32_t> argmax = largest.to_host();
  for (std::int32_t i = 0; i < chunk.count; ++i) {
    const auto at = static_cast<std::size_t>(chunk.begin + i);
    const std::int32_t token = argmax[static_cast<std::size_t>(i)];
    results.value[at] = values[static_cast<std::size_t>(i)];
    results.correct[at] = contains(*run.rows, chunk.begin + i, token) ? 1 : 0;
  }
}

/// Forward of one chunk, and its backward where `weights` (of all logits rows) are given.
void run_chunk(const MetricRun& run, Chunk& chunk, std::span<const float> weights,
               LogitsRowResults& results) {
  const Engine& engine = chunk.engine;
  const std::int64_t vocab = engine.config().vocab;
  chunk.rows.forward(run.final_residual, chunk.logits.data());
  const ChunkTargets targets(run, engine, chunk);
  metric_forward(engine.context, targets.forward);
  read_results(run, engine, chunk, targets, results);
  if (weights.empty()) return;
  const Buffer<float> d_value(engine.context.backend,
                              weights.subspan(static_cast<std::size_t>(chunk.begin),
                                              static_cast<std::size_t>(chunk.count)));
  Buffer<float> d_logits(engine.context.backend, chunk.count * vocab);
  metric_backward(
      engine.context,
      {.forward = targets.forward, .d_value = d_value.data(), .d_logits = d_logits.data()});
  chunk.rows.backward(d_logits.data(), run.d_final_residual);
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
  results.correct.resize(rows.token.size());
  for (std::int32_t begin = 0; begin < rows.logits_rows(); begin += kChunkRows) {
    const std::int32_t count = std::min(kChunkRows, rows.logits_rows() - begin);
    Chunk chunk(engine,
                std::span<const std::int32_t>(rows.token)
                    .subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)),
                begin);
    run_chunk(run, chunk, weights, results);
  }
  MetricValues values;
  for (std::int32_t row = 0; row < rows.rows(); ++row) {
    const auto index = static_cast<std::size_t>(row);
    double sum = 0.0;
    std::uint8_t correct = 1;
    for (std::int32_t i = rows.row_begin[index]; i < rows.row_begin[index + 1]; ++i) {
      sum += results.value[static_cast<std::size_t>(i)];
      correct &= results.correct[static_cast<std::size_t>(i)];
    }
    const std::int32_t count = rows.row_begin[index + 1] - rows.row_begin[index];
    values.value.push_back(static_cast<float>(sum / count));
    values.correct.push_back(correct);
  }
  return values;
}

}  // namespace headspark
