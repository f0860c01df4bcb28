// Reading of pairs for benchmarks.
#include "model/pairs_file.h"

#include <algorithm>
#include <fstream>

#include "headspark/error.h"
#include "nlohmann/json.hpp"

namespace headspark::bench {
namespace {

std::vector<std::int32_t> ids(const nlohmann::json& value) {
  if (value.is_number_integer()) return {value.get<std::int32_t>()};
  return value.get<std::vector<std::int32_t>>();
}

}  // namespace

std::vector<Pair> read_pairs(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    throw Error(ErrorCode::FILE_NOT_FOUND,
                path + " cannot be read; give a file of pairs with --pairs or --paper-pairs.");
  }
  std::vector<Pair> pairs;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    try {
      const nlohmann::json json = nlohmann::json::parse(line);
      pairs.push_back({ids(json.at("clean")),
                       ids(json.at("corrupted")),
                       ids(json.at("correct")),
                       ids(json.at("incorrect")),
                       {}});
    } catch (const nlohmann::json::exception& error) {
      throw Error(ErrorCode::PAIR_FORMAT, path + ", line " + std::to_string(number) +
                                              ", is not a pair of token ids: " + error.what() +
                                              ".");
    }
  }
  if (pairs.empty()) throw Error(ErrorCode::PAIR_FORMAT, path + " has no pairs.");
  return pairs;
}

std::vector<Pair> repeat_pairs(const std::vector<Pair>& pairs, std::size_t count) {
  std::vector<Pair> repeated;
  for (std::size_t i = 0; i < count; ++i) repeated.push_back(pairs[i % pairs.size()]);
  return repeated;
}

std::int64_t pair_tokens(const std::vector<Pair>& pairs) {
  std::size_t tokens = 0;
  for (const Pair& pair : pairs) tokens += pair.clean.size();
  return static_cast<std::int64_t>(tokens);
}

std::int64_t shared_tokens(const Pair& pair) {
  const auto [clean, corrupted] = std::mismatch(pair.clean.begin(), pair.clean.end(),
                                                pair.corrupted.begin(), pair.corrupted.end());
  return clean - pair.clean.begin();
}

}  // namespace headspark::bench
