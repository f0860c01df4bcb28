// Strides and groups are resolved on the way: kernels see plain row-major matrices.
#include "cuda/weight_cache.h"

#include <algorithm>
#include <cstring>

namespace headspark::cuda {
namespace {

// Vectors whose host copy is gone (norms of models that were disposed) go when all take more than
// this.
constexpr std::int64_t kMostConstantBytes = std::int64_t{256} << 20;
constexpr std::int64_t kPieceBytes = std::int64_t{16} << 20;  // packed on the host at a time

bool same_owner(const std::weak_ptr<const void>& a, const std::weak_ptr<const void>& b) {
  return !a.expired() && !a.owner_before(b) && !b.owner_before(a);
}

bool is_row_major(const WeightView& view) {
  if (view.col_stride != 1) return false;
  const bool rows = view.row_group == 1 || view.row_stride == view.cols;
  return rows && (view.rows <= view.row_group || view.group_stride == view.row_group * view.cols);
}

template <typename From, typename To, typename Convert>
void pack_rows(const WeightView& view, std::int64_t first, std::int64_t count, To* packed,
               const Convert& convert) {
  const auto* data = static_cast<const From*>(view.data);
  for (std::int64_t row = first; row < first + count; ++row, packed += view.cols) {
    const From* source = data + view.offset(row, 0);
    if (view.col_stride == 1) {
      for (std::int64_t col = 0; col < view.cols; ++col) packed[col] = convert(source[col]);
    } else {
      const std::int64_t stride = view.col_stride;
      for (std::int64_t col = 0; col < view.cols; ++col)
        packed[col] = convert(source[col * stride]);
    }
  }
}

/// Rows as `type`, which is the view's or bf16.
void pack(const WeightView& view, DType type, std::int64_t first, std::int64_t count,
          void* packed) {
  const auto same = [](auto value) { return value; };
  auto* const narrow = static_cast<std::uint16_t*>(packed);
  if (type != view.dtype && view.dtype == DType::f32) {
    pack_rows<float>(view, first, count, narrow, [](float x) { return f32_to_bf16(x); });
  } else if (type != view.dtype) {
    pack_rows<std::uint16_t>(view, first, count, narrow,
                             [](std::uint16_t x) { return f32_to_bf16(f16_to_f32(x)); });
  } else if (type == DType::f32) {
    pack_rows<std::uint32_t>(view, first, count, static_cast<std::uint32_t*>(packed), same);
  } else {
    pack_rows<std::uint16_t>(view, first, count, narrow, same);
  }
}

}  // namespace

WeightCache::Memory::Memory(WeightCache& owner, std::int64_t bytes)
    : cache(&owner), data(owner.memory_.allocate(bytes)), size(bytes) {
  cache->bytes_ += size;
}

WeightCache::Memory::~Memory() {
  cache->bytes_ -= size;
  ++cache->replaced_;
  cache->memory_.release(data);
}

void WeightCache::upload(const WeightView& view, DType type, void* device) {
  const std::int64_t row_bytes = view.cols * dtype_bytes(type);
  if (is_row_major(view) && type == view.dtype) {
    memory_.copy(device, view.data, view.rows * row_bytes);
    return;
  }
  const std::int64_t rows =
      std::max<std::int64_t>(1, kPieceBytes / std::max<std::int64_t>(1, row_bytes));
  std::vector<std::byte> packed(static_cast<std::size_t>(std::min(rows, view.rows) * row_bytes));
  for (std::int64_t first = 0; first < view.rows; first += rows) {
    const std::int64_t count = std::min(rows, view.rows - first);
    pack(view, type, first, count, packed.data());
    memory_.copy(static_cast<char*>(device) + first * row_bytes, packed.data(), count * row_bytes);
  }
}

void* WeightCache::kept(const Key& key, std::int64_t bytes, const std::weak_ptr<const void>& owner,
                        const std::function<void(void*)>& write) {
  auto found = matrices_.find(key);
  const bool fresh = found == matrices_.end();
  if (fresh) {
    purge();
    auto memory = std::make_unique<Memory>(*this, bytes);
    found = matrices_.emplace(key, Matrix{{}, std::move(memory)}).first;
  }
  Matrix& matrix = found->second;
  if (!same_owner(matrix.owner, owner)) {
    matrix.owner.reset();  // until the copy is whole
    if (!fresh) ++replaced_;
    ++uploads_;
    write(matrix.memory->data);
    matrix.owner = owner;
  }
  return matrix.memory->data;
}

DeviceMatrix WeightCache::matrix(const WeightView& view, const std::weak_ptr<const void>& owner,
                                 DType type) {
  const std::lock_guard lock(mutex_);
  const Key key{view.data,       view.dtype,      type,           view.rows,        view.cols,
                view.row_stride, view.col_stride, view.row_group, view.group_stride};
  void* const data = kept(key, view.rows * view.cols * dtype_bytes(type), owner,
                          [&](void* device) { upload(view, type, device); });
  return {data, type, view.rows, view.cols};
}

DeviceMatrix WeightCache::made(const WeightView& view, const Bf16Form& form,
                               const std::function<void(std::uint16_t*)>& fill) {
  const std::lock_guard lock(mutex_);
  // No view has groups of no rows.
  const Key key{view.data, view.dtype, DType::bf16, form.rows, form.cols, form.numbers, 0, 0, 0};
  const std::int64_t bytes = form.rows * form.cols * dtype_bytes(DType::bf16);
  void* const data = kept(key, bytes, view.owner, [&](void* device) {
    std::vector<std::uint16_t> values(static_cast<std::size_t>(form.rows * form.cols));
    fill(values.data());
    memory_.copy(device, values.data(), bytes);
  });
  return {data, DType::bf16, form.rows, form.cols};
}

const void* WeightCache::constant(const void* host, std::int64_t bytes) {
  if (bytes <= 0) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto size = static_cast<std::size_t>(bytes);
  auto found = constants_.find({host, bytes});
  if (found == constants_.end()) {
    while (constant_bytes_ + bytes > kMostConstantBytes && !constants_.empty()) forget_oldest();
    Constant made;
    made.memory = std::make_unique<Memory>(*this, bytes);
    constant_bytes_ += bytes;
    found = constants_.emplace(std::pair(host, bytes), std::move(made)).first;
  }
  Constant& constant = found->second;
  constant.last_use = ++clock_;
  if (constant.host.size() != size || std::memcmp(constant.host.data(), host, size) != 0) {
    const auto* begin = static_cast<const std::byte*>(host);
    if (!constant.host.empty()) ++replaced_;
    constant.host.clear();  // until the copy is whole
    memory_.copy(constant.memory->data, host, bytes);
    constant.host.assign(begin, begin + bytes);
  }
  return constant.memory->data;
}

void WeightCache::forget_oldest() {
  const auto oldest = std::min_element(
      constants_.begin(), constants_.end(),
      [](const auto& a, const auto& b) { return a.second.last_use < b.second.last_use; });
  constant_bytes_ -= oldest->first.second;
  constants_.erase(oldest);
}

void WeightCache::purge() {
  const std::lock_guard lock(mutex_);
  std::erase_if(matrices_, [](const auto& entry) { return entry.second.owner.expired(); });
}

void WeightCache::clear() {
  const std::lock_guard lock(mutex_);
  purge();
  constants_.clear();
  constant_bytes_ = 0;
}

}  // namespace headspark::cuda
