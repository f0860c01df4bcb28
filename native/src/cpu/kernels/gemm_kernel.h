// Register-blocked matrix product on panels of 16 columns. Every element is one chain
// acc = fma(a[k], b[k], acc) over k in order, for any number of rows: batches cannot change bits.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/kernels/math.h"
#include "cpu/kernels/register_tiles.h"

namespace headspark {

template <typename S>
struct GemmKernel {
  using F = typename S::F;
  static constexpr int panel_vectors = 16 / S::width;

  /// The vectors of B at depths k and, for pairs, k + 1.
  template <int Vectors, bool Pairs>
  static void load_b(const GemmTile& t, std::int64_t k, F (&b)[Pairs ? 2 : 1][Vectors]) {
#pragma GCC unroll 16
    for (int v = 0; v < Vectors; ++v) {
      const char* panel = static_cast<const char*>(t.b) + (v / panel_vectors) * t.panel_bytes;
      const std::int64_t element = k * 16 + (v % panel_vectors) * S::width * (Pairs ? 2 : 1);
      if constexpr (Pairs) {
        S::load_pairs(reinterpret_cast<const std::uint16_t*>(panel) + element, b[0][v], b[1][v]);
      } else {
        b[0][v] = S::load(reinterpret_cast<const float*>(panel) + element);
      }
    }
  }

  template <bool Pairs>
  struct Block {
    static constexpr int tile_rows = S::tile_rows;
    static constexpr int tile_panels = S::tile_panels;
    static constexpr int row_panels = S::row_panels;
    static constexpr std::int64_t row_bytes = kTileStride * 4;

    template <int Rows, int Panels, bool Fetches>
    [[gnu::noinline]] static void run(const GemmTile& t, Fetch& next, std::int64_t share) {
      constexpr int vectors = Panels * panel_vectors;
      constexpr int step = Pairs ? 2 : 1;  // an odd depth of pairs meets a zero of A
      F acc[Rows][vectors];
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
        for (int v = 0; v < vectors; ++v) acc[r][v] = S::set(0.0f);
      }
      fetch_c<Rows, vectors * S::width>(t);
      const float* a = static_cast<const float*>(t.a);
      for (std::int64_t k = 0; k < t.depth;) {
        if constexpr (Fetches) fetch_lines(next, share);
        const std::int64_t end = Fetches && k + kFetchDepths < t.depth ? k + kFetchDepths : t.depth;
        for (; k < end; k += step) {
          F b[step][vectors];
          load_b<vectors, Pairs>(t, k, b);
#pragma GCC unroll 2
          for (int i = 0; i < step; ++i) {
#pragma GCC unroll 16
            for (int r = 0; r < Rows; ++r) {
              const F x = S::in_register(S::set(a[r * kTileStride + k + i]));
#pragma GCC unroll 16
              for (int v = 0; v < vectors; ++v) acc[r][v] = S::fma(x, b[i][v], acc[r][v]);
            }
          }
        }
      }
      store<Rows, vectors>(t, acc);
    }
  };

  // C comes from L2 or beyond: ask for it before the depth loop, which hides the wait.
  template <int Rows, int Columns>
  static void fetch_c(const GemmTile& t) {
    for (int r = 0; r < Rows; ++r) {
      const float* c = t.c + r * t.c_stride;
      for (int j = 0; j < Columns; j += 16) __builtin_prefetch(c + j, 1);
      __builtin_prefetch(c + Columns - 1, 1);
    }
  }

  template <int Rows, int Vectors>
  static void store(const GemmTile& t, F (&acc)[Rows][Vectors]) {
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) {
        float* c = t.c + r * t.c_stride + v * S::width;
        S::store(c, t.accumulate ? S::add(S::load(c), acc[r][v]) : acc[r][v]);
      }
    }
  }

  static void multiply(const GemmTile& t) {
    if (t.layout == PanelLayout::pairs) {
      RegisterTiles<Block<true>>::multiply(t);
    } else {
      RegisterTiles<Block<false>>::multiply(t);
    }
  }

  static std::int64_t a_bytes(std::int64_t rows, std::int64_t) {
    return rows * kTileStride * 4;
  }

  // A zero follows an odd depth: pairs read one element past it.
  static void pack_a(const PackRowsA& p) {
    for (std::int64_t r = 0; r < p.count; ++r) {
      const float* source = p.rows + r * p.stride;
      float* target = static_cast<float*>(p.a) + r * kTileStride + p.at;
      if (p.lead != 0) *target++ = 0.0f;
      std::int64_t i = 0;
      const F scale = S::set(p.scale);
      for (; i + S::width <= p.depth; i += S::width) {
        S::store(target + i, S::mul(scale, S::load(source + i)));
      }
      for (; i < p.depth; ++i) target[i] = p.scale * source[i];
      target[i] = 0.0f;
    }
  }

  static constexpr GemmKernels kernels() {
    GemmKernels kernels{};
    kernels.row_tile = S::tile_rows;
    kernels.stream_panels = S::row_panels;
    kernels.expand_rows = S::expand_rows;
    kernels.a_bytes = a_bytes;
    kernels.pack_a = pack_a;
    kernels.multiply = multiply;
    return kernels;
  }

  static void pack_rows(const PackRows& p) {
    constexpr int block_width = S::transpose_width;
    for (int j = 0; j < 16; j += block_width) {
      // A missing row is another one until its zeros are written.
      const float* some = nullptr;
      for (int r = 0; r < block_width; ++r) some = p.rows[j + r] != nullptr ? p.rows[j + r] : some;
      const float* rows[block_width];
      for (int r = 0; r < block_width; ++r) rows[r] = p.rows[j + r] ? p.rows[j + r] : some;
      std::int64_t k = 0;
      for (; some != nullptr && k + S::transpose_depths <= p.depth; k += S::transpose_depths) {
        S::transpose(rows, k, p.panel + k * p.stride + j, p.stride);
      }
      for (int r = j; r < j + block_width; ++r) {
        const float* row = p.rows[r];
        for (std::int64_t i = row != nullptr ? k : 0; i < p.depth; ++i) {
          p.panel[i * p.stride + r] = row != nullptr ? row[i] : 0.0f;
        }
      }
    }
  }

  static void expand_pairs(const std::uint16_t* pairs, std::int64_t depth, float* values) {
    for (std::int64_t k = 0; k < depth; k += 2) {
      for (int j = 0; j < 16; j += S::width) {
        F even;
        F odd;
        S::load_pairs(pairs + k * 16 + 2 * j, even, odd);
        S::store(values + k * 16 + j, even);
        S::store(values + k * 16 + 16 + j, odd);
      }
    }
  }

  static void expand_bf16(const std::uint16_t* bits, std::int64_t count, float* values) {
    std::int64_t i = 0;
    for (; i + S::width <= count; i += S::width) S::store(values + i, S::load_bf16(bits + i));
    if (i == count) return;
    std::uint16_t tail[S::width] = {};
    for (std::int64_t j = i; j < count; ++j) tail[j - i] = bits[j];
    store_part<S>(values + i, count - i, S::load_bf16(tail));
  }
};

}  // namespace headspark
