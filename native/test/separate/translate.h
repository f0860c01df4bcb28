// From device addresses to where the bytes are, with the extent that an op may touch.
#pragma once

#include "headspark/context.h"
#include "headspark/head_gate.h"
#include "headspark/ops/attention.h"
#include "separate/memory.h"

namespace headspark::test {

/// The same threads and kernels, on host memory.
inline Context on_host(const Context& context) {
  static const std::shared_ptr<Backend> cpu = make_cpu_backend();
  return {cpu, context.threads, context.isa, context.precision};
}

/// `count` elements at a device address; null stays null. Throws INTERNAL for host memory and for
/// an extent that leaves its allocation.
template <typename T>
T* bytes_of(T* device, std::int64_t count) {
  if (device == nullptr || count <= 0) return device;
  return static_cast<T*>(SeparateMemory::get().bytes_at(
      static_cast<const void*>(device), count * static_cast<std::int64_t>(sizeof(T))));
}

/// Elements from the first of `rows` rows to the last of the last.
inline std::int64_t extent(std::int64_t rows, std::int64_t stride, std::int64_t width) {
  return rows > 0 ? (rows - 1) * stride + width : 0;
}

inline RowLayout bytes_of(RowLayout layout) {
  layout.row_begin = bytes_of(layout.row_begin, layout.rows + 1);
  layout.prefix_begin = bytes_of(layout.prefix_begin, layout.rows);
  layout.prefix_length = bytes_of(layout.prefix_length, layout.rows);
  layout.first_query = bytes_of(layout.first_query, layout.rows);
  return layout;
}

/// `layout` is translated already.
HeadGate bytes_of(HeadGate gate, const RowLayout& layout, const AttentionShape& shape);

}  // namespace headspark::test
