// The two products of paged attention, register-blocked over a few queries that read the same
// keys. A score is one chain over head_dim, an output one chain over the keys of a split: how many
// queries share a block changes no bits.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/kernels/fetch.h"
#include "cpu/kernels/math.h"

namespace headspark {

template <typename S>
struct PagedKernel {
  using F = typename S::F;
  static constexpr int keys = 32;  // kKvPageTokens
  static constexpr int key_vectors = keys / S::width;
  static constexpr int query_rows = S::width == 16 ? 4 : (S::width == 8 ? 2 : 1);
  static constexpr int value_vectors = 4;

  static std::int64_t first_of(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

  // scores of Rows queries with the 32 keys of one page
  template <int Rows>
  static void page_scores(const PagedScores& p, const float* q, const float* k, float* scores) {
    F acc[Rows][key_vectors];
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < key_vectors; ++v) acc[r][v] = S::set(0.0f);
    }
    for (std::int64_t d = 0; d < p.head_dim;) {
      if (p.next != nullptr) fetch_pages(*p.next, p.lines);
      const std::int64_t end = first_of(d + kFetchSteps, p.head_dim);
      for (; d < end; ++d, k += keys) {
        F key[key_vectors];
#pragma GCC unroll 16
        for (int v = 0; v < key_vectors; ++v) key[v] = S::load(k + v * S::width);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const F x = S::set(q[r * p.head_dim + d]);
#pragma GCC unroll 16
          for (int v = 0; v < key_vectors; ++v) acc[r][v] = S::fma(x, key[v], acc[r][v]);
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < key_vectors; ++v) {
        S::store(scores + r * p.stride + v * S::width, acc[r][v]);
      }
    }
  }

  // The last queries, fewer than a full block.
  template <int Rows>
  static void rest_scores(const PagedScores& p, std::int64_t rows, const float* q, const float* k,
                          float* scores) {
    if constexpr (Rows > 0) {
      if (rows == Rows) return page_scores<Rows>(p, q, k, scores);
      rest_scores<Rows - 1>(p, rows, q, k, scores);
    }
  }

  static void scores(const PagedScores& p) {
    for (std::int64_t page = 0; page < p.page_count; ++page) {
      const float* k = p.pages[page] + p.offset;
      float* out = p.scores + page * keys;
      std::int64_t r = 0;
      for (; r + query_rows <= p.rows; r += query_rows) {
        page_scores<query_rows>(p, p.q + r * p.head_dim, k, out + r * p.stride);
      }
      rest_scores<query_rows - 1>(p, p.rows - r, p.q + r * p.head_dim, k, out + r * p.stride);
    }
  }

  // out[Rows][Vectors] += p V over keys [from, to) of the split
  template <int Rows, int Vectors>
  static void value_block(const PagedValues& p, std::int64_t row, std::int64_t column,
                          std::int64_t from, std::int64_t to) {
    F acc[Rows][Vectors];
    float* out = p.out + row * p.padded_dim + column;
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) {
        acc[r][v] = from > 0 ? S::load(out + r * p.padded_dim + v * S::width) : S::set(0.0f);
      }
    }
    const float* weight = p.weights + row * p.stride;
    for (std::int64_t j = from; j < to;) {
      const float* value = p.pages[j / keys] + p.offset + j % keys * p.padded_dim + column;
      const std::int64_t page_end = (j / keys + 1) * keys;
      if (p.next != nullptr) fetch_pages(*p.next, p.lines);
      for (const std::int64_t end = first_of(j + kFetchSteps, first_of(to, page_end)); j < end;
           ++j) {
        F x[Vectors];
#pragma GCC unroll 16
        for (int v = 0; v < Vectors; ++v) x[v] = S::load(value + v * S::width);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
          const F w = S::set(weight[r * p.stride + j]);
#pragma GCC unroll 16
          for (int v = 0; v < Vectors; ++v) acc[r][v] = S::fma(w, x[v], acc[r][v]);
        }
        value += p.padded_dim;
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 16
      for (int v = 0; v < Vectors; ++v) {
        S::store(out + r * p.padded_dim + v * S::width, acc[r][v]);
      }
    }
  }

  template <int Rows>
  static void value_columns(const PagedValues& p, std::int64_t row, std::int64_t from,
                            std::int64_t to) {
    std::int64_t column = 0;
    for (; column + value_vectors * S::width <= p.padded_dim; column += value_vectors * S::width) {
      value_block<Rows, value_vectors>(p, row, column, from, to);
    }
    for (; column < p.padded_dim; column += S::width) {
      value_block<Rows, 1>(p, row, column, from, to);
    }
  }

  // A query sees only its own keys: the block goes as far as its shortest row, the rest one by one.
  template <int Rows>
  static void value_rows(const PagedValues& p, std::int64_t row) {
    std::int64_t common = p.counts[row];
    for (int r = 1; r < Rows; ++r) {
      if (p.counts[row + r] < common) common = p.counts[row + r];
    }
    value_columns<Rows>(p, row, 0, common);
    for (int r = 0; r < Rows; ++r) {
      if (p.counts[row + r] > common) value_columns<1>(p, row + r, common, p.counts[row + r]);
    }
  }

  template <int Rows>
  static void rest_values(const PagedValues& p, std::int64_t row) {
    if constexpr (Rows > 0) {
      if (p.rows - row == Rows) return value_rows<Rows>(p, row);
      rest_values<Rows - 1>(p, row);
    }
  }

  static void values(const PagedValues& p) {
    std::int64_t row = 0;
    for (; row + query_rows <= p.rows; row += query_rows) value_rows<query_rows>(p, row);
    rest_values<query_rows - 1>(p, row);
  }
};

}  // namespace headspark
