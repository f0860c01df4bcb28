// What a generation accepts: checks of options and requests, and the errors about memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headspark/generate.h"

namespace headspark {

/// The options with the engine's budget filled in; INVALID_ARGUMENT naming the one out of range.
GenerationOptions checked_options(const Engine& engine, GenerationOptions options);

/// INVALID_ARGUMENT naming what is wrong with a request.
void check_request(const Engine& engine, const GenerationOptions& options,
                   const GenerationRequest& request);

/// Gates by layer and head, without those that change nothing.
std::vector<GatedHead> sorted_gates(const std::vector<GatedHead>& heads);

/// A row that does not fit the page budget even alone.
struct RowNeed {
  std::int64_t tokens = 0;
  std::int64_t bytes = 0;         ///< of its keys and values
  std::int64_t budget_bytes = 0;  ///< of the generation
  std::int64_t page_bytes = 0;    ///< of that, for keys and values
};
[[noreturn]] void throw_does_not_fit(const RowNeed& need);

/// What a generation holds besides keys and values, in bytes.
struct FixedNeed {
  std::int64_t activations = 0;
  std::int64_t logits = 0;     ///< and what drawing from them takes
  std::int64_t attention = 0;  ///< scratch memory and plans of the device

  std::int64_t total() const { return activations + logits + attention; }
};
/// OUT_OF_MEMORY, with these sizes, where a device has no room for them.
void check_room(const Engine& engine, const GenerationOptions& options, const FixedNeed& need);

/// The budget holds any row alone, so the machine has less memory than the budget says.
[[noreturn]] void throw_no_memory(std::int64_t tokens);

}  // namespace headspark
