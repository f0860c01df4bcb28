// How many pages a row needs, and which ones it needs no longer.
#pragma once

#include <cstdint>

#include "engine/generation_row.h"
#include "headspark/model.h"

namespace headspark {

/// Pages of all layers at most, for a row that runs alone in passes of up to `pass_tokens` tokens.
std::int64_t pages_alone(const ModelConfig& config, const KvPagePool& pool,
                         const GenerationRow& row, std::int64_t pass_tokens);

/// Gives up the pages that no token of the row from its next one on sees.
void forget_before_windows(const ModelConfig& config, GenerationRow& row);

}  // namespace headspark
