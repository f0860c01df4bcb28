// Reads golden folders: a checkpoint, pairs.jsonl and what the references answered (.npy, .json).
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "headspark/pair.h"

namespace headspark::golden {

struct Array {
  std::vector<std::int64_t> shape;
  std::vector<float> values;  ///< fp32 or fp64 files, C order
};

Array read_npy(const std::filesystem::path& file);
nlohmann::json read_json(const std::filesystem::path& file);
std::vector<Pair> read_pairs(const std::filesystem::path& file);

/// The root of this repository, as it was when the tests were compiled.
std::filesystem::path source_folder();

/// ../shared beside the repository, or HEADSPARK_SHARED; empty path when absent.
std::filesystem::path shared_folder();

/// max |a - b|; infinity when sizes differ or anything is NaN.
double max_difference(std::span<const float> a, std::span<const float> b);

}  // namespace headspark::golden
