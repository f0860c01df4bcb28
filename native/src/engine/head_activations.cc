// One forward pass a batch of whole sequences; what is asked for by token goes to the host, sums
// stay on the device until all sequences are in.
#include "headspark/head_activations.h"

#include <algorithm>
#include <string>

#include "engine/forward.h"
#include "engine/pair_block.h"
#include "headspark/error.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

void check_sequences(const Engine& engine, const HeadActivationsRequest& request) {
  const ModelConfig& config = engine.config();
  if (request.sequences.empty()) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "Head activations need at least one sequence.");
  }
  for (const auto& sequence : request.sequences) {
    if (sequence.empty()) throw Error(ErrorCode::INVALID_ARGUMENT, "A sequence has no tokens.");
    for (const std::int32_t token : sequence) {
      if (token >= 0 && token < config.vocab) continue;
      throw Error(ErrorCode::INVALID_ARGUMENT, "Token " + std::to_string(token) +
                                                   " is outside the vocabulary of " +
                                                   std::to_string(config.vocab) + " tokens.");
    }
  }
}

// Collects one layer after the other of batch after batch.
class Collector {
 public:
  Collector(const Engine& engine, const HeadActivationsRequest& request, std::int64_t longest)
      : engine_(engine),
        request_(request),
        layers_(engine.config().layers),
        heads_(engine.config().heads),
        width_(heads_ * engine.config().head_dim),
        hidden_(engine.config().hidden) {
    for (const auto& sequence : request.sequences) {
      all_tokens_ += static_cast<std::int64_t>(sequence.size());
    }
    if (request.rows == ActivationRows::tokens) {
      result_.rows = all_tokens_;
      result_.z.resize(static_cast<std::size_t>(layers_ * all_tokens_ * width_));
    } else {
      // The last row is the mean over all tokens.
      result_.rows = request.rows == ActivationRows::mean ? 1 : longest + 1;
      sums_ = Buffer<double>(engine.context.backend, layers_ * result_.rows * width_);
      sums_.zero();
      counts_.assign(static_cast<std::size_t>(result_.rows), 0);
    }
    if (request.write_norms) norms_.assign(static_cast<std::size_t>(layers_ * heads_), 0.0);
  }

  void add(const Batch& batch, const Trace& trace) {
    const std::vector<std::int32_t>& positions = batch.host().positions;
    for (std::int64_t layer = 0; layer < layers_; ++layer) {
      const float* z = trace.layer(layer).z;
      if (request_.rows == ActivationRows::tokens) {
        engine_.context.backend->copy_to_host(row(layer, done_), z, batch.tokens() * width_ * 4);
      } else {
        add_means(layer, batch, z);
      }
      if (request_.write_norms) add_norms(layer, batch.tokens(), trace.layer(layer).written);
    }
    for (const std::int32_t position : positions) {
      if (request_.rows == ActivationRows::mean_per_position) {
        ++counts_[static_cast<std::size_t>(position)];
      }
    }
    done_ += batch.tokens();
  }

  HeadActivations finish() {
    if (request_.rows != ActivationRows::tokens) {
      counts_.back() = all_tokens_;
      result_.z.reserve(static_cast<std::size_t>(sums_.size()));
      for (const double sum : sums_.to_host()) {
        const auto at = result_.z.size() / static_cast<std::size_t>(width_) % counts_.size();
        result_.z.push_back(static_cast<float>(sum / static_cast<double>(counts_[at])));
      }
    }
    for (const double norm : norms_) {
      result_.write_norms.push_back(static_cast<float>(norm / static_cast<double>(all_tokens_)));
    }
    return std::move(result_);
  }

 private:
  float* row(std::int64_t layer, std::int64_t index) {
    return result_.z.data() + (layer * result_.rows + index) * width_;
  }

  void add_means(std::int64_t layer, const Batch& batch, const float* z) {
    const std::int64_t last = result_.rows - 1;
    double* const sums = sums_.data() + layer * result_.rows * width_;
    SumRows params{.rows = batch.tokens(), .width = width_, .x = z, .sums = sums + last * width_};
    sum_rows(engine_.context, params);
    if (request_.rows != ActivationRows::mean_per_position) return;
    params.slots = batch.positions();
    params.slot_count = last;
    params.sums = sums;
    sum_rows(engine_.context, params);
  }

  void add_norms(std::int64_t layer, std::int64_t tokens, const float* written) {
    const std::int64_t stride = tokens * hidden_;
    Buffer<float> writes(engine_.context.backend, heads_ * stride);
    expand_head_writes(engine_, layer, tokens, written, writes.data(), stride);
    Buffer<double> norms(engine_.context.backend, heads_ * tokens);
    row_norms(
        engine_.context,
        {.rows = heads_ * tokens, .width = hidden_, .x = writes.data(), .norms = norms.data()});
    auto norm = norms_.begin() + layer * heads_;
    std::int64_t left = tokens;
    for (const double one : norms.to_host()) {
      *norm += one;
      if (--left > 0) continue;
      left = tokens;
      ++norm;
    }
  }

  const Engine& engine_;
  const HeadActivationsRequest& request_;
  std::int64_t layers_;
  std::int64_t heads_;
  std::int64_t width_;
  std::int64_t hidden_;
  std::int64_t all_tokens_ = 0;
  std::int64_t done_ = 0;
  Buffer<double> sums_;  // [layers, rows, heads, head_dim]
  std::vector<std::int64_t> counts_;
  std::vector<double> norms_;
  HeadActivations result_;
};

}  // namespace

HeadActivations head_activations(const Engine& engine, const HeadActivationsRequest& request,
                                 const RunControl& control) {
  check_sequences(engine, request);
  const BufferReuse reuse(engine.context.backend);
  std::int64_t longest = 0;
  for (const auto& sequence : request.sequences) {
    longest = std::max(longest, static_cast<std::int64_t>(sequence.size()));
  }
  const RotaryTables rotary = rotary_for(engine, longest);  // refuses what is too long
  const TraceOptions options{.sources = true};
  const std::int64_t floats =
      Trace::floats_per_token(engine, options) +
      (request.write_norms ? engine.config().heads * engine.config().hidden : std::int64_t{0});
  const std::int64_t by_memory = engine.options.memory_bytes / 4 / floats;
  const std::int64_t wanted =
      engine.options.batch_tokens > 0 ? engine.options.batch_tokens : std::int64_t{1024};
  const std::int64_t limit = std::max<std::int64_t>(1, std::min(wanted, by_memory));
  Collector collector(engine, request, longest);
  const std::size_t count = request.sequences.size();
  for (std::size_t begin = 0; begin < count;) {
    control.check();
    control.report({begin, count, "activations"});
    BatchRows rows;
    std::size_t end = begin;
    while (
        end < count &&
        (end == begin ||
         rows.token_count() + static_cast<std::int64_t>(request.sequences[end].size()) <= limit)) {
      rows.add(request.sequences[end++]);
    }
    const Batch batch(engine.context, std::move(rows));
    Trace trace(engine, batch.tokens(), options);
    run_forward(engine, batch, {.rotary = &rotary}, trace, control);
    collector.add(batch, trace);
    begin = end;
  }
  control.report({count, count, "activations"});
  return collector.finish();
}

}  // namespace headspark
