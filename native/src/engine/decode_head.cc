// Chunks of rows through the unembedding, then one draw per row.
#include "engine/decode_head.h"

#include <algorithm>

#include "engine/repeated_step.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/norm.h"

namespace headspark {
namespace {

// Logits rows computed at once. On the CPU 64 rows multiply at full speed. On a GPU every chunk
// reads the whole unembedding again (467 MB of Qwen2.5-1.5B's in bf16, 0.1 ms of an H200), and 256
// rows keep all of its multiprocessors sampling.
std::int64_t chunk_rows(const Context& context, std::int64_t most_rows) {
  return std::min<std::int64_t>(context.on_cpu() ? 64 : 256, most_rows);
}

// A penalty counts a token once.
void append_distinct(std::span<const std::int32_t> seen, std::vector<std::int32_t>& tokens) {
  const auto begin = static_cast<std::ptrdiff_t>(tokens.size());
  tokens.insert(tokens.end(), seen.begin(), seen.end());
  std::sort(tokens.begin() + begin, tokens.end());
  tokens.erase(std::unique(tokens.begin() + begin, tokens.end()), tokens.end());
}

}  // namespace

DecodeHead::DecodeHead(const Engine& engine, std::int64_t most_rows)
    : engine_(engine),
      rows_(chunk_rows(engine.context, most_rows)),
      work_(engine.context.backend->repeated_work()),
      input_(engine.context.backend),
      logits_(engine.context.backend),
      draws_(engine.context.backend),
      seen_(engine.context.backend),
      drawn_(engine.context.backend),
      copies_(engine.context) {}

std::int64_t DecodeHead::workspace_bytes(const Engine& engine, std::int64_t most_rows) {
  const ModelConfig& config = engine.config();
  const std::int64_t seen = std::min(config.vocab, config.max_positions);
  const std::int64_t row = (logits_stride(config.vocab) + config.hidden + seen) * 4 +
                           static_cast<std::int64_t>(sizeof(RowDraw) + sizeof(DrawnToken));
  const std::int64_t rows = chunk_rows(engine.context, most_rows);
  if (engine.context.on_cpu()) return rows * row;
  // A library sums few rows' logits in scratch memory, in whole tiles of 128 rows.
  return rows * row + (rows + 127) / 128 * 128 * logits_stride(config.vocab) * 4;
}

std::vector<DrawnToken> DecodeHead::sample(std::span<const float* const> residuals,
                                           std::span<const TokenDraw> draws) {
  std::vector<DrawnToken> drawn(residuals.size());
  const auto rows = static_cast<std::size_t>(rows_);
  for (std::size_t begin = 0; begin < residuals.size(); begin += rows) {
    const std::size_t count = std::min(rows, residuals.size() - begin);
    sample_chunk(residuals.subspan(begin, count), draws.subspan(begin, count),
                 drawn.data() + begin);
  }
  return drawn;
}

RepeatCounts DecodeHead::counts() const {
  return work_ != nullptr ? work_->counts() : RepeatCounts();
}

// Where rows are filled up, the last ones are the first again, drawn greedily and not read.
void DecodeHead::add_inputs(std::span<const float* const> residuals, std::int64_t padded) {
  const std::int64_t hidden = engine_.config().hidden;
  float* input = input_.reserve(rows_ * hidden);
  copies_.reserve(rows_);
  for (std::int64_t i = 0; i < padded; ++i) {
    const auto row = static_cast<std::size_t>(i);
    copies_.add(residuals[row < residuals.size() ? row : 0], input + i * hidden);
  }
  copies_.upload();
}

// Fills host_draws_ and host_seen_, and takes them to the device.
void DecodeHead::describe(std::span<const TokenDraw> draws, std::int64_t padded) {
  host_draws_.clear();
  host_seen_.clear();
  for (const TokenDraw& draw : draws) {
    RowDraw row{
        .options = draw.options, .seed = draw.seed, .index = draw.index, .log_prob = draw.log_prob};
    if (draw.options.repetition_penalty != 1.0f) {
      row.seen_begin = static_cast<std::int64_t>(host_seen_.size());
      append_distinct(draw.seen, host_seen_);
      row.seen_count = static_cast<std::int32_t>(host_seen_.size() - row.seen_begin);
    }
    host_draws_.push_back(row);
  }
  host_draws_.resize(static_cast<std::size_t>(padded));
  draws_.reserve(rows_);
  draws_.assign(host_draws_);
  seen_.assign(host_seen_);
}

// Ops on what lies on the device.
void DecodeHead::draw(std::int64_t rows, DrawnToken* drawn) {
  const ModelConfig& config = engine_.config();
  Context context = engine_.context;
  context.decoding = true;
  float* input = input_.data();
  copies_.copy(config.hidden);
  norm_forward(context, whole_rows(engine_.model->final_norm, rows, input, input));
  LinearForward unembed;
  unembed.weight = &engine_.model->unembedding;
  unembed.tokens = rows;
  unembed.x = input;
  unembed.x_stride = config.hidden;
  unembed.y = logits_.data();
  unembed.y_stride = logits_stride(config.vocab);
  linear_forward(context, unembed);
  SampleRows sample;
  sample.rows = rows;
  sample.vocab = config.vocab;
  sample.logits = unembed.y;
  sample.stride = unembed.y_stride;
  sample.draws = draws_.data();
  sample.seen = seen_.data();
  sample.drawn = drawn;
  sample_rows(context, sample);
}

void DecodeHead::sample_chunk(std::span<const float* const> residuals,
                              std::span<const TokenDraw> draws, DrawnToken* drawn) {
  const Context& context = engine_.context;
  const auto rows = static_cast<std::int64_t>(residuals.size());
  const std::int64_t padded = work_ != nullptr ? padded_rows(rows, rows_) : rows;
  add_inputs(residuals, padded);
  describe(draws, padded);
  logits_.reserve(rows_ * logits_stride(engine_.config().vocab));
  DrawnToken* const device = drawn_.reserve(rows_);
  if (work_ != nullptr) {
    RepeatKey key;
    copies_.add_to(key);
    key.add(input_.data()).add(logits_.data()).add(draws_.data()).add(seen_.data()).add(device);
    work_->run(key, [&] { draw(padded, device); });
  } else {
    draw(padded, device);
  }
  context.backend->copy_to_host(drawn, device,
                                rows * static_cast<std::int64_t>(sizeof(DrawnToken)));
}

}  // namespace headspark
