// Sums of fp16 tiles on their way to C, times the scales of their rows and panels. A tile's store
// is not soon to be read, and the products that follow leave the vector units idle: so a block of
// sums waits in a buffer and is added row by row beside the next block. Static, as its users.
#pragma once

#include "cpu/kernel_table.h"

namespace headspark {

template <typename Split>
class ScaledSums {
 public:
  static constexpr std::int64_t most_rows = 32;
  static constexpr std::int64_t stride = 32;

  /// Where a block is stored, [most_rows, stride], once the one before is added.
  float* buffer() {
    finish();
    return sums_;
  }

  /// The block in buffer() waits: C of `t` from row `row` on, `panels` panels. `scales` are those
  /// of its first 16 rows, `scales_step` bytes before those of the others.
  void put(const GemmTile& t, std::int64_t row, std::int64_t panels, const char* scales,
           std::int64_t scales_step) {
    from_ = t.accumulate ? t.c + row * t.c_stride : nullptr;
    from_stride_ = t.c_stride;
    out_ = t.out + row * t.out_stride;
    out_stride_ = t.out_stride;
    columns_ = t.b_scales;
    panels_ = panels;
    scales_ = scales;
    scales_step_ = scales_step;
    row_ = 0;
    rows_ = t.rows - row < most_rows ? t.rows - row : most_rows;
  }

  /// Adds the next `count` rows of what waits.
  void add(std::int64_t count) {
    for (; count > 0 && row_ < rows_; --count, ++row_) {
      const float* sums = sums_ + row_ * stride;
      const char* scales = scales_ + row_ / 16 * scales_step_;
      const float scale = reinterpret_cast<const float*>(scales)[row_ % 16];
      const float* from = from_ != nullptr ? from_ + row_ * from_stride_ : nullptr;
      float* out = out_ + row_ * out_stride_;
      Split::add_row(sums, columns_[0], scale, from, out);
      if (panels_ == 1) continue;
      Split::add_row(sums + 16, columns_[1], scale, from != nullptr ? from + 16 : nullptr,
                     out + 16);
    }
  }

  void finish() { add(most_rows); }

 private:
  alignas(64) float sums_[most_rows * stride];
  const float* from_ = nullptr;
  std::int64_t from_stride_ = 0;
  float* out_ = nullptr;
  std::int64_t out_stride_ = 0;
  const float* columns_ = nullptr;
  std::int64_t panels_ = 0;
  const char* scales_ = nullptr;
  std::int64_t scales_step_ = 0;
  std::int64_t row_ = 0;
  std::int64_t rows_ = 0;
};

}  // namespace headspark
