// What both kernels of the edge contraction share: which part of which contraction a block has, and
// where its sums go. A contraction is a product of few rows over a long axis: a block has 128
// destinations, up to 128 sources and one piece of the axis, of fixed length.
#pragma once

#include "cuda/product_tiles.h"
#include "cuda/term_rows.h"

namespace headspark::cuda {

// Long enough that sums of pieces cost little, short enough to fill the device for one pair: 128
// tokens of 1536 are 24 pieces.
constexpr std::int64_t kPiece = 8192;
constexpr int kContractionThreads = 256;
constexpr int kContractionColumns = 128;  // destinations of a block
constexpr int kPartColumns = 32;          // of a warp
// What the 4 KB of a kernel's argument hold.
constexpr int kMostAtOnce = 32;
constexpr int kMostEnds = 512;

struct ContractionOperands {
  const void* delta;  // fp32 or bf16
  const void* gradient;
  float* scores;
  std::int64_t length;
  std::int32_t first_piece;  // of all pieces of the launch
};

/// Contractions of one shape.
struct Contractions {
  ContractionOperands each[kMostAtOnce];
  std::int32_t count;
  std::int32_t sources;
  std::int32_t destinations;
  std::int64_t delta_stride;
  std::int64_t gradient_stride;
  std::int64_t scores_stride;
  bool four;      // rows of fp32 are aligned to four floats
  bool has_ends;  // there are kMostEnds destinations at most then
  std::int32_t ends[kMostEnds];
  float* sums;  // [pieces, sources, destinations]

  /// Sources that destination v has scores with.
  HEADSPARK_DEVICE std::int32_t end(std::int32_t v) const { return has_ends ? ends[v] : sources; }
  /// The same of the last destination before `end_column`, which has the most.
  HEADSPARK_DEVICE std::int32_t last_end(std::int32_t end_column) const {
    return end(end_column < destinations ? end_column - 1 : destinations - 1);
  }
};

/// 16 * Fragments rows and kPartColumns columns for each of a block's 2 x 4 warps.
template <int Fragments>
struct PartShape {
  static constexpr int kFragments = Fragments;
  static constexpr int kRows = 2 * 16 * Fragments;
};

/// A block's part.
template <int Fragments>
struct ContractionPart {
  std::int32_t first_source = block_x() * PartShape<Fragments>::kRows;
  std::int32_t first_column = block_y() * kContractionColumns;
  WarpPlace at{warp_index() / 4 * 16 * Fragments, warp_index() % 4 * kPartColumns};

  /// Whether any of its destinations has a score with any of its sources.
  HEADSPARK_DEVICE bool has_edges(const Contractions& p) const {
    return p.last_end(first_column + kContractionColumns) > first_source;
  }
  /// The same of this warp's.
  HEADSPARK_DEVICE bool warp_has_edges(const Contractions& p) const {
    return first_column + at.column < p.destinations &&
           p.last_end(first_column + at.column + kPartColumns) > first_source + at.row;
  }
  /// Sums of the warp's columns from `column` of the tile on.
  template <int Columns>
  HEADSPARK_DEVICE void write(const Contractions& p, const FragmentC (&sums)[Fragments][Columns],
                              int column) const {
    float* const to = p.sums + static_cast<std::int64_t>(block_z()) * p.sources * p.destinations;
    for_pairs(sums, {at.row, column}, [&](int row, int of_tile, const Two& pair) {
      const std::int32_t u = first_source + row;
      const std::int32_t v = first_column + of_tile;
      if (u >= p.sources) return;
      float* const sum = to + static_cast<std::int64_t>(u) * p.destinations + v;
      if (v < p.destinations) sum[0] = pair.x;
      if (v + 1 < p.destinations) sum[1] = pair.y;
    });
  }
};

/// The piece of its axis that a block has.
struct ContractionPiece {
  const ContractionOperands* operands;
  std::int64_t begin;
  std::int64_t end;
};

HEADSPARK_DEVICE ContractionPiece own_piece(const Contractions& p) {
  int which = 0;
  while (which + 1 < p.count && p.each[which + 1].first_piece <= block_z()) ++which;
  const ContractionOperands& operands = p.each[which];
  const std::int64_t begin = (block_z() - operands.first_piece) * kPiece;
  const std::int64_t end = begin + kPiece;
  return {&operands, begin, end < operands.length ? end : operands.length};
}

/// A kernel and what its blocks are.
struct ContractionChoice {
  void (*kernel)(Contractions);
  int rows;          ///< sources of a block
  int shared_bytes;  ///< of a block
};

/// run(shape) for the smallest PartShape that holds as many sources, or the largest.
template <typename Run>
ContractionChoice choose_part(std::int64_t sources, const Run& run) {
  if (sources <= PartShape<1>::kRows) return run(PartShape<1>());
  if (sources <= PartShape<2>::kRows) return run(PartShape<2>());
  return run(PartShape<4>());
}

/// Of bf16 operands whose rows are aligned to 16 bytes.
ContractionChoice bf16_contraction(std::int64_t sources);

}  // namespace headspark::cuda
