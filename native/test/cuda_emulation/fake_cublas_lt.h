// A stand-in for cuBLASLt that multiplies as the library's documentation says: column-major,
// strided batches, alpha and beta, c apart from d.
#pragma once

#include <cstdint>
#include <set>

#include "cuda/cublas_lt_abi.h"

namespace headspark::test {

/// Plus the parts: the number of an algorithm for products in parts.
constexpr std::uint64_t kInParts = 1000;
/// The number of an algorithm for many tiles that are one matrix; of one for a batch of tiles their
/// number.
constexpr std::uint64_t kOneMatrix = 500;

/// Products by which the algorithms of a shape are tried before its first: that for many tiles on
/// one, few and many of them, that for one on one and few.
constexpr int kShapeTrials = 5;

/// What was asked of the stand-in since it was last made anew, and what it is to answer.
struct FakeCublasLt {
  int heuristics = 0;
  int multiplications = 0;
  int biases = 0;                      // of them, those that added one
  std::int64_t tiles = 0;              // of all products
  std::set<std::uint64_t> algorithms;  // that products used, by the tiles they were chosen for
  std::int64_t deepest = 0;            // product
  bool has_algorithm = true;
  bool has_parts = true;                 // the same for products in parts
  bool has_epilogues = true;             // algorithms that add a bias or round
  bool few_round_otherwise = false;      // what is chosen for one tile sums from the end
  bool many_round_otherwise = false;     // products of more than one tile sum from the end
  bool matrix_rounds_otherwise = false;  // the same, where the tiles are one matrix
  bool parts_round_otherwise = false;    // products in parts of more than one tile sum from the end
  bool cuts_sums = false;         // they are cut off at 24 bits, not rounded, as on tensor cores
  bool refuses_one_tile = false;  // a product of one tile is a status
  std::uint32_t reduction_schemes = 99;
  std::uint32_t least_alignment = 256;

  /// The one that the functions stand for.
  static FakeCublasLt& get();
};

cuda::lt::Functions fake_cublas_lt();

}  // namespace headspark::test
