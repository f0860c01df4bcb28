// Any weight, also unaligned ones: tiles of 64 x 64 by four warps of 32 x 32, 32 depths at a time.
// The next tile is read from device memory into registers while this one is multiplied.
#include "cuda/gemm_output.h"
#include "cuda/library_gemm.h"
#include "cuda/product_tiles.h"
#include "cuda/term_gemm.h"

namespace headspark::cuda {
namespace {

constexpr int kTile = 64;  // rows and columns of a block
constexpr int kWarpTile = 32;
constexpr int kThreads = 128;
constexpr int kPieces = kTile * kTileDepth / 4 / kThreads;  // of four elements, per thread
constexpr int kTermPieces = kPieces / 2;                    // of eight
constexpr int kWideRow = kTile + 8;                         // elements, [depth][column]

/// A matrix of which tiles are read; `four` when four elements may be read at once.
template <typename Element>
struct Source {
  const Element* data;
  std::int64_t stride;
  std::int64_t rows;
  std::int64_t columns;
  bool four;
};

struct Piece {
  std::int64_t row;
  std::int64_t column;
};

struct alignas(16) EightBf16 {
  std::uint32_t pairs[4];
};

template <typename Element>
HEADSPARK_DEVICE bool outside(const Source<Element>& from, const Piece& at) {
  return at.row >= from.rows || at.column >= from.columns;
}

// Four elements of a row; what lies outside is zero.
HEADSPARK_DEVICE Four read_four(const Source<float>& from, const Piece& at) {
  if (outside(from, at)) return {0.0f, 0.0f, 0.0f, 0.0f};
  const float* const first = from.data + at.row * from.stride + at.column;
  const std::int64_t left = from.columns - at.column;
  if (from.four && left >= 4) return load_four(first);
  return {first[0], left > 1 ? first[1] : 0.0f, left > 2 ? first[2] : 0.0f,
          left > 3 ? first[3] : 0.0f};
}

// The same of one term.
HEADSPARK_DEVICE FourBf16 read_four(const Source<std::uint16_t>& from, std::int64_t term,
                                    const Piece& at) {
  if (outside(from, at)) return {};
  const std::uint16_t* const first = from.data + term + at.row * from.stride + at.column;
  const std::int64_t left = from.columns - at.column;
  if (from.four && left >= 4) return *reinterpret_cast<const FourBf16*>(first);
  const auto element = [&](int i) { return i < left ? static_cast<std::uint32_t>(first[i]) : 0u; };
  return {element(0) | element(1) << 16, element(2) | element(3) << 16};
}

// Which piece of Elements a thread moves: tiles are [64][32], or [32][64] when Wide.
template <bool Wide, int Elements>
HEADSPARK_DEVICE Piece piece_of(int number) {
  constexpr int kInRow = (Wide ? kTile : kTileDepth) / Elements;
  const int piece = thread_index() + number * kThreads;
  const int row = piece / kInRow;
  return {Wide ? row : long_row(row), piece % kInRow * Elements};
}

template <bool Wide>
constexpr int tile_elements() {
  return Wide ? kTileDepth * kWideRow : kTile * kLongRow;
}

template <bool Wide>
HEADSPARK_DEVICE int element_of(const Piece& piece) {
  return static_cast<int>(piece.row) * (Wide ? kWideRow : kLongRow) +
         static_cast<int>(piece.column);
}

struct GemmKernel {
  GemmOutput out;
  Source<float> a;
  TermRows a_terms;
  Source<std::uint16_t> b;
  std::int64_t b_term_stride;
  std::int64_t depth;
};

// The next tile of the weight on its way through registers.
template <int Terms, bool Wide>
struct WeightTile {
  FourBf16 values[Terms][kPieces];

  HEADSPARK_DEVICE void read(const GemmKernel& p, const Piece& corner) {
    HEADSPARK_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      const Piece piece = piece_of<Wide, 4>(i);
      const Piece at{corner.row + piece.row, corner.column + piece.column};
      HEADSPARK_UNROLL
      for (int t = 0; t < Terms; ++t) values[t][i] = read_four(p.b, t * p.b_term_stride, at);
    }
  }
  HEADSPARK_DEVICE void store(const SharedArray<Bf16>& to) const {
    HEADSPARK_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      const int at = element_of<Wide>(piece_of<Wide, 4>(i));
      HEADSPARK_UNROLL
      for (int t = 0; t < Terms; ++t) {
        to.template store_as<FourBf16>(at + t * tile_elements<Wide>(), values[t][i]);
      }
    }
  }
};

// The same of rows: fp32 that are split where they are stored.
template <int Terms>
struct ValueTile {
  Four values[kPieces];

  HEADSPARK_DEVICE void read(const GemmKernel& p, const Piece& corner) {
    HEADSPARK_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      const Piece piece = piece_of<false, 4>(i);
      values[i] = read_four(p.a, {corner.row + piece.row, corner.column + piece.column});
    }
  }
  HEADSPARK_DEVICE void store(const SharedArray<Bf16>& to) const {
    HEADSPARK_UNROLL
    for (int i = 0; i < kPieces; ++i) {
      store_terms<Terms>(to, element_of<false>(piece_of<false, 4>(i)), tile_elements<false>(),
                         values[i]);
    }
  }
};

// The same of rows that are terms: half the bytes of fp32 with one term, 3/2 with three.
template <int Terms>
struct TermTile {
  EightBf16 values[Terms][kTermPieces];

  HEADSPARK_DEVICE void read(const GemmKernel& p, const Piece& corner) {
    const TermRows& from = p.a_terms;
    HEADSPARK_UNROLL
    for (int i = 0; i < kTermPieces; ++i) {
      const Piece piece = piece_of<false, 8>(i);
      const std::int64_t row = corner.row + piece.row;
      const std::int64_t column = corner.column + piece.column;
      const bool inside = row < from.rows && column < from.stride;
      const std::uint16_t* const first = from.data + row * from.stride + column;
      HEADSPARK_UNROLL
      for (int t = 0; t < Terms; ++t) {
        values[t][i] = inside ? *reinterpret_cast<const EightBf16*>(first + t * from.term_stride)
                              : EightBf16{};
      }
    }
  }
  HEADSPARK_DEVICE void store(const SharedArray<Bf16>& to) const {
    HEADSPARK_UNROLL
    for (int i = 0; i < kTermPieces; ++i) {
      const Piece piece = piece_of<false, 8>(i);
      const int at = element_of<false>(piece);
      HEADSPARK_UNROLL
      for (int t = 0; t < Terms; ++t) {
        to.template store_as<EightBf16>(at + t * tile_elements<false>(), values[t][i]);
      }
    }
  }
};

using Accumulators = FragmentC[kWarpTile / 16][kWarpTile / 8];

// Two blocks per multiprocessor: asked for three, ptxas spills 12 bytes on sm_90a (nvcc 13.0).
template <typename Rows, int TermsA, int TermsB, bool Wide>
HEADSPARK_KERNEL(kThreads, 2)
gemm_kernel(GemmKernel p) {
  SharedMemory memory;
  const SharedArray<Bf16> a = memory.take<Bf16>(TermsA * tile_elements<false>());
  const SharedArray<Bf16> b = memory.take<Bf16>(TermsB * tile_elements<Wide>());
  const std::int64_t first_row = static_cast<std::int64_t>(block_x()) * kTile;
  const std::int64_t first_column = static_cast<std::int64_t>(block_y()) * kTile;
  const WarpPlace at{warp_index() / 2 * kWarpTile, warp_index() % 2 * kWarpTile};
  const auto corner = [&](std::int64_t k) {
    return Wide ? Piece{k, first_column} : Piece{first_column, k};
  };
  Accumulators sums = {};
  Rows next_a;
  WeightTile<TermsB, Wide> next_b;
  if (p.depth > 0) {
    next_a.read(p, {first_row, 0});
    next_b.read(p, corner(0));
  }
  for (std::int64_t k = 0; k < p.depth; k += kTileDepth) {
    sync_threads();  // everyone is done with the tile before
    next_a.store(a);
    next_b.store(b);
    sync_threads();
    if (k + kTileDepth < p.depth) {
      next_a.read(p, {first_row, k + kTileDepth});
      next_b.read(p, corner(k + kTileDepth));
    }
    multiply_tile<TermsA, TermsB, Wide>(sums, {a, kLongRow, tile_elements<false>()},
                                        {b, Wide ? kWideRow : kLongRow, tile_elements<Wide>()}, at);
  }
  for_pairs(sums, at, [&](int row, int column, const Two& pair) {
    write_pair(p.out, first_row + row, first_column + column, pair);
  });
}

using Kernel = void (*)(GemmKernel);

struct Choice {
  Kernel kernel;
  int shared_bytes;
};

template <typename Rows, int TermsA, int TermsB>
Kernel kernel_of(bool wide) {
  return wide ? &gemm_kernel<Rows, TermsA, TermsB, true>
              : &gemm_kernel<Rows, TermsA, TermsB, false>;
}

template <int TermsA, int TermsB>
Choice choice(const Gemm& g) {
  const bool wide = g.b.by_depth;
  const int elements = TermsA * tile_elements<false>() +
                       TermsB * (wide ? tile_elements<true>() : tile_elements<false>());
  return {g.a.terms.terms > 0 ? kernel_of<TermTile<TermsA>, TermsA, TermsB>(wide)
                              : kernel_of<ValueTile<TermsA>, TermsA, TermsB>(wide),
          elements * static_cast<int>(sizeof(Bf16))};
}

Choice choose(Precision precision, const Gemm& g) {
  if (precision == Precision::fast) return choice<1, 1>(g);
  switch (g.b.terms) {
    case 1:
      return choice<3, 1>(g);
    case 2:
      return choice<3, 2>(g);
    default:
      return choice<3, 3>(g);
  }
}

template <typename Element>
bool reads_four(const Element* data, std::int64_t stride) {
  return aligned_to(4 * sizeof(Element), data) && stride % 4 == 0;
}

}  // namespace

void gemm(OpDevice& device, Precision precision, const Gemm& g) {
  if (g.rows == 0 || g.columns == 0) return;
  const bool rows_differ = g.a.terms.terms != 0 && g.a.terms.terms != term_count(precision);
  if (rows_differ || g.b.terms > term_count(precision)) {
    throw Error(ErrorCode::INTERNAL, "A product was given terms of another precision.");
  }
  if (g.narrow != nullptr && (g.initial != nullptr || g.plain != nullptr)) {
    throw Error(ErrorCode::INTERNAL, "A product was asked to round what it adds to.");
  }
  if (library_gemm(device, precision, g)) return;
  if (suits_terms(g.b)) return term_gemm(device, precision, g);
  GemmKernel p{};
  p.out = output_of(g);
  p.a = {g.a.values, g.a.stride, g.rows, g.depth, reads_four(g.a.values, g.a.stride)};
  p.a_terms = g.a.terms;
  p.b = {g.b.data, g.b.stride, g.b.by_depth ? g.depth : g.columns,
         g.b.by_depth ? g.columns : g.depth,
         reads_four(g.b.data, g.b.stride) && g.b.term_stride % 4 == 0};
  p.b_term_stride = g.b.term_stride;
  p.depth = g.depth;
  const Choice chosen = choose(precision, g);
  launch(device.stream(),
         {{blocks_for(g.rows, kTile), blocks_for(g.columns, kTile)}, kThreads, chosen.shared_bytes},
         chosen.kernel, p);
}

}  // namespace headspark::cuda
