// Greedy generation of given rows: a Generator run until it is idle.
#include "headspark/generate.h"

#include <algorithm>

#include "engine/forward.h"
#include "headspark/error.h"

namespace headspark {

std::vector<std::vector<std::int32_t>> generate_greedy(const Engine& engine,
                                                       std::span<const GenerateRow> rows,
                                                       const GenerateOptions& options,
                                                       const RunControl& control) {
  if (options.max_new_tokens < 0) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "max_new_tokens must not be negative.");
  }
  std::vector<std::vector<std::int32_t>> result(rows.size());
  if (rows.empty()) return result;
  Generator generator(engine, {});
  for (const GenerateRow& row : rows) {
    // The last new token is never fed back, so it needs no position.
    const auto positions =
        static_cast<std::int64_t>(row.prompt.size()) + std::max(0, options.max_new_tokens - 1);
    if (positions > engine.config().max_positions) rotary_for(engine, positions);  // refuses
    GenerationRequest request;
    request.prompt = row.prompt;
    request.heads = row.heads;
    request.max_new_tokens = options.max_new_tokens;
    request.stop_tokens = options.stop_tokens;
    generator.add(std::move(request));
  }
  std::uint64_t done = 0;
  while (!generator.idle()) {
    control.report({done, rows.size(), "generation"});
    generator.step(control, [&](const GenerationEvent& event) {
      if (event.token >= 0) result[event.request].push_back(event.token);
      if (event.finish != Finish::none) ++done;
    });
  }
  return result;
}

}  // namespace headspark
