// Ragged rows, checked.
#include "packed.h"

#include <utility>

#include "headspark/error.h"

namespace headspark::bindings {
namespace {

// [begin, end) of every row. Throws unless offsets run from 0 to `count` without falling.
std::vector<std::int32_t> checked_offsets(const Arguments& packed, std::size_t count,
                                          const std::string& where) {
  std::vector<std::int32_t> offsets = packed.int32s("offsets");
  bool good =
      !offsets.empty() && offsets.front() == 0 && static_cast<std::size_t>(offsets.back()) == count;
  for (std::size_t row = 1; good && row < offsets.size(); ++row) {
    good = offsets[row] >= offsets[row - 1];
  }
  if (!good) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                where + ": 'offsets' must rise from 0 to the number of values (" +
                    std::to_string(count) + ").");
  }
  return offsets;
}

}  // namespace

TokenRows read_rows(const Arguments& options, const char* field, const std::string& function) {
  const std::string where = function + " " + field;
  const Arguments packed(options.value(field), where);
  const std::vector<std::int32_t> values = packed.int32s("values");
  const std::vector<std::int32_t> offsets = checked_offsets(packed, values.size(), where);
  TokenRows rows;
  rows.reserve(offsets.size() - 1);
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    rows.emplace_back(values.begin() + offsets[row], values.begin() + offsets[row + 1]);
  }
  return rows;
}

std::vector<Pair> read_pairs(const Arguments& options, const std::string& function) {
  const Arguments packed(options.value("pairs"), function + " pairs");
  const auto member = [&](const char* field) { return read_rows(packed, field, function); };
  TokenRows clean = member("clean");
  TokenRows corrupted = member("corrupted");
  TokenRows correct = member("correct");
  TokenRows incorrect = member("incorrect");
  TokenRows continuation = member("continuation");
  const std::size_t count = clean.size();
  for (const TokenRows* rows : {&corrupted, &correct, &incorrect, &continuation}) {
    if (rows->size() != count) {
      throw Error(ErrorCode::INVALID_ARGUMENT,
                  function + ": every member of 'pairs' needs one row a pair.");
    }
  }
  std::vector<Pair> pairs(count);
  for (std::size_t index = 0; index < count; ++index) {
    pairs[index] = {.clean = std::move(clean[index]),
                    .corrupted = std::move(corrupted[index]),
                    .correct = std::move(correct[index]),
                    .incorrect = std::move(incorrect[index]),
                    .continuation = std::move(continuation[index])};
  }
  return pairs;
}

std::vector<std::vector<GatedHead>> read_heads(const Arguments& options, const char* field,
                                               const std::string& function) {
  const std::string where = function + " " + field;
  const Arguments packed(options.value(field), where);
  const std::vector<std::int32_t> layers = packed.int32s("layers");
  const std::vector<std::int32_t> heads = packed.int32s("heads");
  const std::vector<float> factors = packed.float32s("factors");
  if (heads.size() != layers.size() || factors.size() != layers.size()) {
    throw Error(ErrorCode::INVALID_ARGUMENT,
                where + ": 'layers', 'heads' and 'factors' must have one length.");
  }
  const std::vector<std::int32_t> offsets = checked_offsets(packed, layers.size(), where);
  std::vector<std::vector<GatedHead>> rows(offsets.size() - 1);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    for (auto place = static_cast<std::size_t>(offsets[row]);
         place < static_cast<std::size_t>(offsets[row + 1]); ++place) {
      rows[row].push_back({.layer = layers[place], .head = heads[place], .factor = factors[place]});
    }
  }
  return rows;
}

}  // namespace headspark::bindings
