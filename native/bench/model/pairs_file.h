// Pairs of token ids from a JSON-lines file, as scripts/bench/pairs.mjs writes them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "headspark/pair.h"

namespace headspark::bench {

/// Lines {"clean": ids, "corrupted": ids, "correct": id or ids, "incorrect": id or ids}.
/// Errors: FILE_NOT_FOUND, PAIR_FORMAT naming file and line.
std::vector<Pair> read_pairs(const std::string& path);

/// `count` pairs, the given ones over and over.
std::vector<Pair> repeat_pairs(const std::vector<Pair>& pairs, std::size_t count);

std::int64_t pair_tokens(const std::vector<Pair>& pairs);

/// Tokens from the start on that clean and corrupted have in common.
std::int64_t shared_tokens(const Pair& pair);

}  // namespace headspark::bench
