// Messages name the option or the request's field.
#include "engine/generation_checks.h"

#include <algorithm>
#include <cmath>

#include "device/memory_text.h"
#include "engine/gates.h"
#include "headspark/error.h"

namespace headspark {
namespace {

void check_tokens(const ModelConfig& config, const std::vector<std::int32_t>& tokens,
                  const char* what) {
  for (const std::int32_t token : tokens) {
    if (token >= 0 && token < config.vocab) continue;
    throw Error(ErrorCode::INVALID_ARGUMENT, std::string(what) + " " + std::to_string(token) +
                                                 " is outside the vocabulary of " +
                                                 std::to_string(config.vocab) + " tokens.");
  }
}

}  // namespace

std::vector<GatedHead> sorted_gates(const std::vector<GatedHead>& heads) {
  std::vector<GatedHead> gates;
  for (const GatedHead& head : heads) {
    if (head.factor != 1.0f) gates.push_back(head);
  }
  std::stable_sort(gates.begin(), gates.end(), [](const GatedHead& a, const GatedHead& b) {
    return a.layer != b.layer ? a.layer < b.layer : a.head < b.head;
  });
  return gates;
}

namespace {

void check_run(const Engine& engine, const GenerationOptions& options, const ReplacementRun& run) {
  const ModelConfig& config = engine.config();
  const std::int64_t rows = static_cast<std::int64_t>(options.replacement.size()) /
                            (config.layers * config.heads * config.head_dim);
  if (rows == 0) return;
  const bool fits = run.begin >= 0 && run.length >= 1 && run.loop >= 0 && run.loop < run.length &&
                    std::int64_t{run.begin} + run.length <= rows;
  if (fits) return;
  throw Error(ErrorCode::INVALID_ARGUMENT,
              "A replacement of " + std::to_string(run.length) + " rows from " +
                  std::to_string(run.begin) + " on, going round from row " +
                  std::to_string(run.loop) + " of them, does not fit a table of " +
                  std::to_string(rows) + " rows.");
}

}  // namespace

void check_request(const Engine& engine, const GenerationOptions& options,
                   const GenerationRequest& request) {
  const ModelConfig& config = engine.config();
  if (request.prompt.empty()) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "A prompt to continue has no tokens.");
  }
  check_tokens(config, request.prompt, "Token");
  check_gated_heads(config, request.heads);
  check_run(engine, options, request.replacement);
  check_sampling(request.sampling);
  if (request.max_new_tokens < 0) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "max_new_tokens must not be negative.");
  }
  if (static_cast<std::int64_t>(request.prompt.size()) > config.max_positions) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "A prompt of " + std::to_string(request.prompt.size()) +
                    " tokens is longer than the " + std::to_string(config.max_positions) +
                    " positions of " + engine.model->folder + "; shorten it.");
  }
}

GenerationOptions checked_options(const Engine& engine, GenerationOptions options) {
  const ModelConfig& config = engine.config();
  if (options.max_rows < 1 || options.max_rows > 65536) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "max_rows is " + std::to_string(options.max_rows) +
                                                 "; it must be from 1 to 65536.");
  }
  const auto row = static_cast<std::size_t>(config.layers * config.heads * config.head_dim);
  if (options.replacement.size() % row != 0) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                "replacement has " + std::to_string(options.replacement.size()) +
                    " values; [layers, heads, head_dim] of this model are " + std::to_string(row) +
                    ", and a table of several rows is a multiple of it.");
  }
  for (const float value : options.replacement) {
    if (!std::isfinite(value)) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "replacement has a value that is not finite.");
    }
  }
  if (options.memory_bytes <= 0) options.memory_bytes = engine.options.memory_bytes;
  return options;
}

void throw_does_not_fit(const RowNeed& need) {
  throw Error(ErrorCode::OUT_OF_MEMORY,
              "A row of " + std::to_string(need.tokens) + " tokens needs " +
                  memory_text(need.bytes) + " of keys and values, but the budget of " +
                  memory_text(need.budget_bytes) + " leaves " + memory_text(need.page_bytes) +
                  "; raise the budget (memoryBytes, --memory) or lower maxNewTokens.");
}

void check_room(const Engine& engine, const GenerationOptions& options, const FixedNeed& need) {
  if (engine.context.on_cpu()) return;
  Backend& backend = *engine.context.backend;
  const std::int64_t available = backend.available_bytes();
  if (need.total() <= available) return;
  throw Error(ErrorCode::OUT_OF_MEMORY,
              "A generation of " + std::to_string(options.max_rows) + " rows needs " +
                  memory_text(need.activations) + " for activations, " + memory_text(need.logits) +
                  " for logits and " + memory_text(need.attention) +
                  " for attention beside keys and values, but " + backend.name() + " has only " +
                  memory_text(available) +
                  " free; lower maxRows (--max-rows), or stop what else uses the GPU.");
}

void throw_no_memory(std::int64_t tokens) {
  throw Error(ErrorCode::OUT_OF_MEMORY, "The system has no memory for the keys and values of " +
                                            std::to_string(tokens) +
                                            " tokens; free some, or lower maxNewTokens.");
}

}  // namespace headspark
