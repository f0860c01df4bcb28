// Tiles of 64 x 64 by four warps of 32 x 32, 32 depths at a time. The next tile is read from device
// memory into registers while this one is multiplied. Tensor cores cut their sums off (Fasi et al.
// 2021, "Numerical behavior of NVIDIA tensor cores"), so every 32 depths begin at zero there and
// are added in fp32 afterwards.
#include "cuda/bf16_terms.h"
#include "cuda/elements.h"
#include "cuda/gemm.h"
#include "cuda/library_gemm.h"
#include "cuda/stored_value.h"

namespace headspark::cuda {
namespace {

constexpr int kTile = 64;  // rows and columns of a block
constexpr int kDepth = 32;
constexpr int kWarpTile = 32;
constexpr int kThreads = 128;
constexpr int kPieces = kTile * kDepth / 4 / kThreads;  // of four elements, per thread
constexpr int kTermPieces = kPieces / 2;                // of eight
constexpr int kLongRow = kDepth + 8;                    // elements, [row][depth]
constexpr int kWideRow = kTile + 8;                     // elements, [depth][column]

/// A stored matrix of which tiles are read; `four` when four elements may be read at once.
struct Source {
  const void* data;
  DType dtype;
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

HEADSPARK_DEVICE float narrow_value(DType dtype, std::uint32_t bits) {
  const auto half = static_cast<std::uint16_t>(bits);
  return dtype == DType::bf16 ? bf16_to_float(Bf16{half}) : half_to_float(half);
}

// Four elements of a row as fp32; what lies outside is zero.
HEADSPARK_DEVICE Four read_four(const Source& from, const Piece& at) {
  if (at.row >= from.rows || at.column >= from.columns) return {0.0f, 0.0f, 0.0f, 0.0f};
  const std::int64_t index = at.row * from.stride + at.column;
  if (from.four && at.column + 4 <= from.columns) {
    if (from.dtype == DType::f32) return load_four(static_cast<const float*>(from.data) + index);
    const std::uint64_t bits = *reinterpret_cast<const std::uint64_t*>(
        static_cast<const std::uint16_t*>(from.data) + index);
    const auto low = static_cast<std::uint32_t>(bits);
    const auto high = static_cast<std::uint32_t>(bits >> 32);
    return {narrow_value(from.dtype, low & 0xffffu), narrow_value(from.dtype, low >> 16),
            narrow_value(from.dtype, high & 0xffffu), narrow_value(from.dtype, high >> 16)};
  }
  const std::int64_t left = from.columns - at.column;
  Four v{stored_value(from.data, from.dtype, index), 0.0f, 0.0f, 0.0f};
  if (left > 1) v.y = stored_value(from.data, from.dtype, index + 1);
  if (left > 2) v.z = stored_value(from.data, from.dtype, index + 2);
  if (left > 3) v.w = stored_value(from.data, from.dtype, index + 3);
  return v;
}

// The order in which threads take long rows. Two rows are stored at once; four rows apart they lie
// in different halves of the banks (kLongRow is 20 banks, four times that is 16 more than 64).
HEADSPARK_DEVICE int long_row(int number) {
  return number / 8 * 8 + number % 2 * 4 + number % 8 / 2;
}

// Which piece of Elements a thread moves: tiles are [64][32], or [32][64] when Wide.
template <bool Wide, int Elements>
HEADSPARK_DEVICE Piece piece_of(int number) {
  constexpr int kInRow = (Wide ? kTile : kDepth) / Elements;
  const int piece = thread_index() + number * kThreads;
  const int row = piece / kInRow;
  return {Wide ? row : long_row(row), piece % kInRow * Elements};
}

template <bool Wide>
HEADSPARK_DEVICE void read_tile(Four (&values)[kPieces], const Source& from, const Piece& corner) {
  HEADSPARK_UNROLL
  for (int i = 0; i < kPieces; ++i) {
    const Piece piece = piece_of<Wide, 4>(i);
    values[i] = read_four(from, {corner.row + piece.row, corner.column + piece.column});
  }
}

template <bool Wide>
constexpr int tile_elements() {
  return Wide ? kDepth * kWideRow : kTile * kLongRow;
}

template <int Terms, bool Wide>
HEADSPARK_DEVICE void store_tile(const SharedArray<Bf16>& to, const Four (&values)[kPieces]) {
  constexpr int kStride = Wide ? kWideRow : kLongRow;
  HEADSPARK_UNROLL
  for (int i = 0; i < kPieces; ++i) {
    const Piece piece = piece_of<Wide, 4>(i);
    store_terms<Terms>(to, static_cast<int>(piece.row) * kStride + static_cast<int>(piece.column),
                       tile_elements<Wide>(), values[i]);
  }
}

struct GemmKernel {
  std::int64_t rows;
  Source a;
  TermRows a_terms;
  Source b;
  float scale;
  float* c;
  std::int64_t c_stride;
  const float* bias;
  const float* initial;
  float* plain;
  bool two;  // rows of c, initial and plain are aligned to two floats
  std::int64_t depth;
  std::int64_t depth_split;   // of one block
  std::int64_t split_stride;  // elements of c from one split to the next
};

// The next tile of rows on its way through registers: fp32 that are split where they are stored.
template <int Terms>
struct ValueTile {
  Four values[kPieces];

  HEADSPARK_DEVICE void read(const GemmKernel& p, const Piece& corner) {
    read_tile<false>(values, p.a, corner);
  }
  HEADSPARK_DEVICE void store(const SharedArray<Bf16>& to) const {
    store_tile<Terms, false>(to, values);
  }
};

// The same of rows that are terms already: half the bytes of fp32 with one term, 3/2 with three.
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
      const int at = static_cast<int>(piece.row) * kLongRow + static_cast<int>(piece.column);
      HEADSPARK_UNROLL
      for (int t = 0; t < Terms; ++t) {
        to.template store_as<EightBf16>(at + t * tile_elements<false>(), values[t][i]);
      }
    }
  }
};

constexpr int kRowTiles = kWarpTile / 16;
constexpr int kColumnTiles = kWarpTile / 8;
using Accumulators = FragmentC[kRowTiles][kColumnTiles];

struct WarpPlace {
  int row;
  int column;
};

// One term of a times one term of b over the 32 depths of the tile in shared memory.
template <bool Wide>
HEADSPARK_DEVICE void multiply_terms(Accumulators& c, const SharedMatrix& a, const SharedMatrix& b,
                                     const WarpPlace& at) {
  HEADSPARK_UNROLL
  for (int depth = 0; depth < kDepth; depth += 16) {
    FragmentA left[kRowTiles];
    HEADSPARK_UNROLL
    for (int m = 0; m < kRowTiles; ++m) left[m] = a.left(at.row + 16 * m, depth);
    HEADSPARK_UNROLL
    for (int n = 0; n < kColumnTiles; n += 2) {
      FragmentB right[2];
      if constexpr (Wide) {
        b.right_by_depth(right, at.column + 8 * n, depth);
      } else {
        b.right_by_column(right, at.column + 8 * n, depth);
      }
      HEADSPARK_UNROLL
      for (int m = 0; m < kRowTiles; ++m) {
        multiply_add(c[m][n], left[m], right[0]);
        multiply_add(c[m][n + 1], left[m], right[1]);
      }
    }
  }
}

// The products of one depth tile, begun at zero, then added to the sums.
template <int TermsA, int TermsB, bool Wide>
HEADSPARK_DEVICE void multiply_tile(Accumulators& sums, const SharedArray<Bf16>& a,
                                    const SharedArray<Bf16>& b, const WarpPlace& at) {
  Accumulators c = {};
  for_products<TermsA, TermsB>([&](int i, int j) {
    multiply_terms<Wide>(c, {a, kLongRow, i * tile_elements<false>()},
                         {b, Wide ? kWideRow : kLongRow, j * tile_elements<Wide>()}, at);
  });
  HEADSPARK_UNROLL
  for (int m = 0; m < kRowTiles; ++m) {
    HEADSPARK_UNROLL
    for (int n = 0; n < kColumnTiles; ++n) {
      HEADSPARK_UNROLL
      for (int r = 0; r < 4; ++r) sums[m][n].r[r] += c[m][n].r[r];
    }
  }
}

struct Extents {
  std::int64_t rows;
  std::int64_t columns;
};

HEADSPARK_DEVICE void write_element(const GemmKernel& p, const Extents& all, const Piece& at,
                                    float sum) {
  if (at.row >= all.rows || at.column >= all.columns) return;
  const std::int64_t index = at.row * p.c_stride + at.column;
  float value = p.scale * sum;
  if (p.bias != nullptr) value += p.bias[at.column];
  if (p.plain != nullptr) p.plain[index] = value;
  if (p.initial != nullptr) value += p.initial[index];
  p.c[block_z() * p.split_stride + index] = value;
}

// Columns at.column, which is even, and the next.
HEADSPARK_DEVICE void write_pair(const GemmKernel& p, const Extents& all, const Piece& at,
                                 const Two& sums) {
  if (!p.two || at.column + 2 > all.columns) {
    write_element(p, all, at, sums.x);
    return write_element(p, all, {at.row, at.column + 1}, sums.y);
  }
  if (at.row >= all.rows) return;
  const std::int64_t index = at.row * p.c_stride + at.column;
  Two value{p.scale * sums.x, p.scale * sums.y};
  if (p.bias != nullptr) value = {value.x + p.bias[at.column], value.y + p.bias[at.column + 1]};
  if (p.plain != nullptr) store_two(p.plain + index, value);
  if (p.initial != nullptr) {
    const Two initial = read_two(p.initial + index);
    value = {value.x + initial.x, value.y + initial.y};
  }
  store_two(p.c + block_z() * p.split_stride + index, value);
}

HEADSPARK_DEVICE void write_tile(const GemmKernel& p, const Extents& all, const Accumulators& sums,
                                 const Piece& corner) {
  const int g = lane_index() / 4;
  const int t = lane_index() % 4 * 2;
  HEADSPARK_UNROLL
  for (int m = 0; m < kRowTiles; ++m) {
    HEADSPARK_UNROLL
    for (int n = 0; n < kColumnTiles; ++n) {
      HEADSPARK_UNROLL
      for (int r = 0; r < 4; r += 2) {
        write_pair(p, all, {corner.row + 16 * m + g + r / 2 * 8, corner.column + 8 * n + t},
                   {sums[m][n].r[r], sums[m][n].r[r + 1]});
      }
    }
  }
}

// Two blocks per multiprocessor: asked for three, ptxas spills 12 bytes on sm_90a (nvcc 13.0).
template <typename Rows, int TermsA, int TermsB, bool Wide>
HEADSPARK_KERNEL(kThreads, 2)
gemm_kernel(GemmKernel p) {
  SharedMemory memory;
  const SharedArray<Bf16> a = memory.take<Bf16>(TermsA * tile_elements<false>());
  const SharedArray<Bf16> b = memory.take<Bf16>(TermsB * tile_elements<Wide>());
  const std::int64_t first_row = static_cast<std::int64_t>(block_x()) * kTile;
  const std::int64_t first_column = static_cast<std::int64_t>(block_y()) * kTile;
  const std::int64_t begin = block_z() * p.depth_split;
  const std::int64_t end = begin + p.depth_split < p.depth ? begin + p.depth_split : p.depth;
  const WarpPlace at{warp_index() / 2 * kWarpTile, warp_index() % 2 * kWarpTile};
  const auto corner = [&](std::int64_t k) {
    return Wide ? Piece{k, first_column} : Piece{first_column, k};
  };
  Accumulators sums = {};
  Rows next_a;
  Four next_b[kPieces];
  if (begin < end) {
    next_a.read(p, {first_row, begin});
    read_tile<Wide>(next_b, p.b, corner(begin));
  }
  for (std::int64_t k = begin; k < end; k += kDepth) {
    sync_threads();  // everyone is done with the tile before
    next_a.store(a);
    store_tile<TermsB, Wide>(b, next_b);
    sync_threads();
    if (k + kDepth < end) {
      next_a.read(p, {first_row, k + kDepth});
      read_tile<Wide>(next_b, p.b, corner(k + kDepth));
    }
    multiply_tile<TermsA, TermsB, Wide>(sums, a, b, at);
  }
  write_tile(p, {p.rows, Wide ? p.b.columns : p.b.rows}, sums,
             {first_row + at.row, first_column + at.column});
}

struct SumSplits {
  const float* partial;  // [splits, rows, columns]
  std::int64_t splits;
  std::int64_t rows;
  std::int64_t columns;
  float* c;
  std::int64_t c_stride;
  const float* bias;
  const float* initial;
  float* plain;
};

HEADSPARK_KERNEL(kElementThreads) sum_splits_kernel(SumSplits p) {
  const std::int64_t i = element_index();
  const std::int64_t count = p.rows * p.columns;
  if (i >= count) return;
  float sum = 0.0f;
  for (std::int64_t s = 0; s < p.splits; ++s) sum += p.partial[s * count + i];
  const std::int64_t index = i / p.columns * p.c_stride + i % p.columns;
  if (p.bias != nullptr) sum += p.bias[i % p.columns];
  if (p.plain != nullptr) p.plain[index] = sum;
  p.c[index] = p.initial != nullptr ? p.initial[index] + sum : sum;
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
  switch (g.b.dtype) {
    case DType::bf16:
      return choice<3, 1>(g);
    case DType::f16:
      return choice<3, 2>(g);
    default:
      return choice<3, 3>(g);
  }
}

bool reads_four(const void* data, std::int64_t element_bytes, std::int64_t stride) {
  const auto bytes = static_cast<std::uintptr_t>(4 * element_bytes);
  return reinterpret_cast<std::uintptr_t>(data) % bytes == 0 && stride % 4 == 0;
}

bool aligned_to_8(const void* p) {
  return reinterpret_cast<std::uintptr_t>(p) % 8 == 0;
}

}  // namespace

void gemm(OpDevice& device, Precision precision, const Gemm& g) {
  if (g.rows == 0 || g.columns == 0) return;
  if (g.a.terms.terms != 0 && g.a.terms.terms != term_count(precision)) {
    throw Error(ErrorCode::INTERNAL, "A product was given rows of another precision's terms.");
  }
  if (library_gemm(device, precision, g)) return;
  const std::int64_t split = g.depth_split > 0 ? g.depth_split : g.depth;
  const std::int64_t splits = split > 0 ? (g.depth + split - 1) / split : 1;
  GemmKernel p{};
  p.rows = g.rows;
  p.a = {g.a.values, DType::f32, g.a.stride,
         g.rows,     g.depth,    reads_four(g.a.values, 4, g.a.stride)};
  p.a_terms = g.a.terms;
  p.b = {g.b.data,
         g.b.dtype,
         g.b.stride,
         g.b.by_depth ? g.depth : g.columns,
         g.b.by_depth ? g.columns : g.depth,
         reads_four(g.b.data, dtype_bytes(g.b.dtype), g.b.stride)};
  p.scale = g.scale;
  p.depth = g.depth;
  p.depth_split = split;
  p.c = g.c;
  p.c_stride = g.c_stride;
  p.bias = g.bias;
  p.initial = g.initial;
  p.plain = g.plain;
  if (splits > 1) {
    p.split_stride = g.rows * g.columns;
    p.c = device.scratch_floats(ScratchSlot::gemm_splits, splits * p.split_stride);
    p.c_stride = g.columns;
    p.bias = nullptr;
    p.initial = nullptr;
    p.plain = nullptr;
  }
  p.two = p.c_stride % 2 == 0 && p.split_stride % 2 == 0 && aligned_to_8(p.c) &&
          aligned_to_8(p.initial) && aligned_to_8(p.plain);
  const Choice chosen = choose(precision, g);
  const LaunchShape shape{
      {blocks_for(g.rows, kTile), blocks_for(g.columns, kTile), static_cast<int>(splits)},
      kThreads,
      chosen.shared_bytes};
  launch(device.stream(), shape, chosen.kernel, p);
  if (splits == 1) return;
  launch(device.stream(), element_shape(g.rows * g.columns), &sum_splits_kernel,
         SumSplits{p.c, splits, g.rows, g.columns, g.c, g.c_stride, g.bias, g.initial, g.plain});
}

}  // namespace headspark::cuda
