// Row movement and element-wise sums on the GPU: one thread per element, every sum in order, in
// fp32 with fused multiply-adds. Rows are summed in double, a warp for some columns. Formulas:
// rows_cpu.cc.
#include "cuda/elements.h"
#include "cuda/op_device.h"
#include "cuda/stored_value.h"
#include "ops/backends.h"

namespace headspark {
namespace {

using namespace cuda;

struct MoveRows {
  std::int64_t count;
  std::int64_t width;
  const std::int32_t* index;
  const float* x;
  float* y;
};

HEADSPARK_KERNEL(kElementThreads) gather_kernel(MoveRows p) {
  const std::int64_t i = element_index();
  if (i >= p.count * p.width) return;
  p.y[i] = p.x[p.index[i / p.width] * p.width + i % p.width];
}

HEADSPARK_KERNEL(kElementThreads) scatter_add_kernel(MoveRows p) {
  const std::int64_t i = element_index();
  if (i >= p.count * p.width) return;
  p.y[p.index[i / p.width] * p.width + i % p.width] += p.x[i];
}

HEADSPARK_KERNEL(kElementThreads) combine_kernel(Combine p) {
  const std::int64_t i = element_index();
  if (i >= p.count) return;
  const float* base = p.base != nullptr ? p.base : p.y;
  const float y = p.b != 0.0f ? p.b * base[i] : 0.0f;
  store_value(p.y, p.type, i, multiply_add(p.a, p.x[i], y));
}

HEADSPARK_KERNEL(kElementThreads) interpolate_kernel(Interpolate p) {
  const std::int64_t i = element_index();
  if (i >= p.rows * p.width) return;
  const float alpha = p.alpha[i / p.width];
  p.y[i] = multiply_add(alpha, p.clean[i], (1.0f - alpha) * p.corrupted[i]);
}

HEADSPARK_KERNEL(kElementThreads) sum_blocks_kernel(SumBlocks p) {
  const std::int64_t i = element_index();
  if (i >= p.groups * p.block) return;
  const float* x = p.x + i / p.block * p.steps * p.block + i % p.block;
  float sum = p.add_to_y ? p.y[i] : 0.0f;
  for (std::int64_t s = 0; s < p.steps; ++s) sum += x[s * p.block];
  store_value(p.y, p.type, i, sum);
}

// All rows into one slot. A warp has eight columns, a sector of memory, so that many warps read
// many rows at once; the rows that it reads wait in shared memory to be added in order.
constexpr int kSumColumns = 8;
constexpr int kSumRows = 128;
constexpr int kSumReads = kSumRows * kSumColumns / 32;  // of a lane
constexpr int kSumUnrolled = 16;

HEADSPARK_KERNEL(32) sum_all_rows_kernel(SumRows p) {
  const int own = lane_index() % kSumColumns;
  const std::int64_t column = static_cast<std::int64_t>(block_x()) * kSumColumns + own;
  const bool exists = column < p.width;
  SharedMemory memory;
  const SharedArray<float> rows = memory.take<float>(kSumRows * kSumColumns);
  float ahead[kSumReads];
  const auto read = [&](std::int64_t first) {
    HEADSPARK_UNROLL
    for (int k = 0; k < kSumReads; ++k) {
      const std::int64_t row = first + (k * 32 + lane_index()) / kSumColumns;
      ahead[k] = exists && row < p.rows ? p.x[row * p.width + column] : 0.0f;
    }
  };
  double sum = exists ? p.sums[column] : 0.0;
  read(0);
  for (std::int64_t t = 0; t < p.rows; t += kSumRows) {
    HEADSPARK_UNROLL
    for (int k = 0; k < kSumReads; ++k) rows.store(k * 32 + lane_index(), ahead[k]);
    sync_warp();
    read(t + kSumRows);
    const int count = p.rows - t < kSumRows ? static_cast<int>(p.rows - t) : kSumRows;
    int row = 0;
    for (; row + kSumUnrolled <= count; row += kSumUnrolled) {
      HEADSPARK_UNROLL
      for (int r = row; r < row + kSumUnrolled; ++r) sum += rows.load(r * kSumColumns + own);
    }
    for (; row < count; ++row) sum += rows.load(row * kSumColumns + own);
    sync_warp();
  }
  if (exists && lane_index() < kSumColumns) p.sums[column] = sum;
}

// A warp has 32 columns of a slot and reads the slots of 128 rows at once.
constexpr int kSlotThreads = 128;
constexpr int kSlotReads = 4;

HEADSPARK_KERNEL(kSlotThreads) sum_slot_rows_kernel(SumRows p) {
  const std::int64_t in_row = (p.width + 31) / 32;
  const std::int64_t warp =
      static_cast<std::int64_t>(block_x()) * (kSlotThreads / 32) + warp_index();
  const std::int64_t slot = warp / in_row;
  const std::int64_t column = warp % in_row * 32 + lane_index();
  if (slot >= p.slot_count) return;
  const bool exists = column < p.width;
  double* const to = p.sums + slot * p.width + column;
  double sum = exists ? *to : 0.0;
  for (std::int64_t t = 0; t < p.rows; t += 32 * kSlotReads) {
    bool reads[kSlotReads];
    HEADSPARK_UNROLL
    for (int k = 0; k < kSlotReads; ++k) {
      const std::int64_t row = t + k * 32 + lane_index();
      reads[k] = (row < p.rows ? p.slots[row] : -1) == slot;
    }
    HEADSPARK_UNROLL
    for (int k = 0; k < kSlotReads; ++k) {
      for (unsigned rows = ballot(reads[k]); rows != 0; rows &= rows - 1) {
        const std::int64_t row = t + k * 32 + count_bits((rows & (0u - rows)) - 1);
        if (exists) sum += p.x[row * p.width + column];
      }
    }
  }
  if (exists) *to = sum;
}

// A warp per row; a lane asks for several elements before it needs the first.
constexpr int kNormReads = 8;  // of a lane

HEADSPARK_KERNEL(kElementThreads) row_norms_kernel(RowNorms p) {
  const std::int64_t row =
      static_cast<std::int64_t>(block_x()) * (kElementThreads / 32) + warp_index();
  if (row >= p.rows) return;
  const float* const x = p.x + (p.index != nullptr ? p.index[row] : row) * p.width;
  double squares = 0.0;
  for (std::int64_t first = lane_index(); first < p.width; first += 32 * kNormReads) {
    float ahead[kNormReads];
    HEADSPARK_UNROLL
    for (int k = 0; k < kNormReads; ++k) {
      const std::int64_t i = first + k * 32;
      ahead[k] = i < p.width ? x[i] : 0.0f;
    }
    HEADSPARK_UNROLL
    for (int k = 0; k < kNormReads; ++k) squares += static_cast<double>(ahead[k]) * ahead[k];
  }
  for (int mask = 16; mask > 0; mask /= 2) squares += shuffle_xor(squares, mask);
  if (lane_index() == 0) p.norms[row] = square_root(squares);
}

}  // namespace

void gather_rows_cuda(const Context& context, std::int64_t count, std::int64_t width,
                      const std::int32_t* index, const float* x, float* y) {
  launch(op_device(context).stream(), element_shape(count * width), &gather_kernel,
         MoveRows{count, width, index, x, y});
}

void scatter_add_rows_cuda(const Context& context, std::int64_t count, std::int64_t width,
                           const std::int32_t* index, const float* x, float* y) {
  launch(op_device(context).stream(), element_shape(count * width), &scatter_add_kernel,
         MoveRows{count, width, index, x, y});
}

void combine_cuda(const Context& context, const Combine& params) {
  launch(op_device(context).stream(), element_shape(params.count), &combine_kernel, params);
}

void interpolate_cuda(const Context& context, const Interpolate& params) {
  launch(op_device(context).stream(), element_shape(params.rows * params.width),
         &interpolate_kernel, params);
}

void sum_blocks_cuda(const Context& context, const SumBlocks& params) {
  launch(op_device(context).stream(), element_shape(params.groups * params.block),
         &sum_blocks_kernel, params);
}

void sum_rows_cuda(const Context& context, const SumRows& params) {
  const Stream stream = op_device(context).stream();
  if (params.slots == nullptr) {
    launch(stream,
           {{blocks_for(params.width, kSumColumns)},
            32,
            kSumRows * kSumColumns * static_cast<int>(sizeof(float))},
           &sum_all_rows_kernel, params);
    return;
  }
  const std::int64_t warps = params.slot_count * blocks_for(params.width, 32);
  launch(stream, {{blocks_for(warps, kSlotThreads / 32)}, kSlotThreads}, &sum_slot_rows_kernel,
         params);
}

void row_norms_cuda(const Context& context, const RowNorms& params) {
  launch(op_device(context).stream(),
         {{blocks_for(params.rows, kElementThreads / 32)}, kElementThreads}, &row_norms_kernel,
         params);
}

}  // namespace headspark
