// Ragged rows from JavaScript ({values, offsets}) as the core's structs. Offsets and lengths are
// checked here, because everything behind this trusts them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "arguments.h"
#include "headspark/engine.h"
#include "headspark/pair.h"

namespace headspark::bindings {

using TokenRows = std::vector<std::vector<std::int32_t>>;

// `field` of the options holds {values: Int32Array, offsets: Int32Array [rows + 1]}.
TokenRows read_rows(const Arguments& options, const char* field, const std::string& function);

// `pairs` of the options: five members of ragged rows with one row a pair each.
std::vector<Pair> read_pairs(const Arguments& options, const std::string& function);

// `field` holds {layers, heads: Int32Array, factors: Float32Array, offsets: Int32Array [rows + 1]}.
std::vector<std::vector<GatedHead>> read_heads(const Arguments& options, const char* field,
                                               const std::string& function);

}  // namespace headspark::bindings
