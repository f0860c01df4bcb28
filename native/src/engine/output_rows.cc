// Gather, final norm, unembedding; backward the same in reverse.
#include "engine/output_rows.h"

#include <algorithm>

#include "headspark/ops/linear.h"
#include "headspark/ops/rows.h"

namespace headspark {
namespace {

// Rows whose logits go where they are wanted at once: as many as a product can use, so that the
// unembedding is read once (57 MB of SmolLM2's in bf16), and no more, for the memory of their
// norms.
constexpr std::size_t kRowsInPlace = 1024;
// Rows whose logits lie on a device before they are copied: 64 x 152k are 39 MB.
constexpr std::size_t kCopiedRows = 64;

template <typename Run>
void for_parts(std::span<const std::int32_t> tokens, std::size_t rows, const Run& run) {
  for (std::size_t begin = 0; begin < tokens.size(); begin += rows) {
    run(begin, tokens.subspan(begin, std::min(rows, tokens.size() - begin)));
  }
}

}  // namespace

OutputRows::OutputRows(const Engine& engine, std::span<const std::int32_t> tokens)
    : engine_(engine),
      count_(static_cast<std::int32_t>(tokens.size())),
      token_(engine.context.backend, tokens),
      residual_(engine.context.backend, count_ * engine.config().hidden),
      normed_(engine.context.backend, count_ * engine.config().hidden) {}

const float* OutputRows::norm(const float* final_residual) {
  const ModelConfig& config = engine_.config();
  gather_rows(engine_.context, count_, config.hidden, token_.data(), final_residual,
              residual_.data());
  norm_forward(engine_.context,
               whole_rows(engine_.model->final_norm, count_, residual_.data(), normed_.data()));
  return normed_.data();
}

void OutputRows::forward(const float* final_residual, float* logits) {
  const ModelConfig& config = engine_.config();
  LinearForward params;
  params.weight = &engine_.model->unembedding;
  params.tokens = count_;
  params.x = norm(final_residual);
  params.x_stride = config.hidden;
  params.y = logits;
  params.y_stride = config.vocab;
  linear_forward(engine_.context, params);
}

void OutputRows::backward(const float* d_logits, float* d_final_residual) {
  const ModelConfig& config = engine_.config();
  LinearBackward params;
  params.weight = &engine_.model->unembedding;
  params.tokens = count_;
  params.d_y = d_logits;
  params.d_y_stride = config.vocab;
  params.d_x = d_normed();  // the normed input is not needed any more
  params.d_x_stride = config.hidden;
  linear_backward(engine_.context, params);
  backward_norm(d_final_residual);
}

void OutputRows::backward_norm(float* d_final_residual) {
  const ModelConfig& config = engine_.config();
  norm_backward(engine_.context, {.norm = &engine_.model->final_norm,
                                  .rows = count_,
                                  .x = residual_.data(),
                                  .x_stride = config.hidden,
                                  .d_y = normed_.data(),
                                  .d_y_stride = config.hidden,
                                  .d_x = normed_.data(),
                                  .d_x_stride = config.hidden,
                                  .mode = GradientMode::overwrite});
  scatter_add_rows(engine_.context, count_, config.hidden, token_.data(), normed_.data(),
                   d_final_residual);
}

void run_logits(const Engine& engine, const float* final_residual,
                std::span<const std::int32_t> tokens, float* logits) {
  const std::int64_t vocab = engine.config().vocab;
  for_parts(tokens, kRowsInPlace, [&](std::size_t begin, std::span<const std::int32_t> part) {
    OutputRows(engine, part)
        .forward(final_residual, logits + static_cast<std::int64_t>(begin) * vocab);
  });
}

void run_logits_to_host(const Engine& engine, const float* final_residual,
                        std::span<const std::int32_t> tokens, float* logits) {
  const std::shared_ptr<Backend>& backend = engine.context.backend;
  if (void* const in_place = backend->in_place(logits); in_place != nullptr) {
    return run_logits(engine, final_residual, tokens, static_cast<float*>(in_place));
  }
  const std::int64_t vocab = engine.config().vocab;
  const std::size_t rows = std::min(kCopiedRows, tokens.size());
  Buffer<float> copied(backend, static_cast<std::int64_t>(rows) * vocab);
  for_parts(tokens, rows, [&](std::size_t begin, std::span<const std::int32_t> part) {
    OutputRows(engine, part).forward(final_residual, copied.data());
    backend->copy_to_host(logits + static_cast<std::int64_t>(begin) * vocab, copied.data(),
                          std::ssize(part) * vocab * static_cast<std::int64_t>(sizeof(float)));
  });
}

}  // namespace headspark
