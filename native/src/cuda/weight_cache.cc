// Strides and groups are resolved on the way: kernels see plain row-major matrices.
#include "cuda/weight_cache.h"

#include <algorithm>
#include <cstring>

#include "cuda/value_terms.h"

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

template <typename Stored>
void pack_rows(const WeightView& view, std::int64_t first, std::int64_t count, Stored* packed) {
  const auto* data = static_cast<const Stored*>(view.data);
  for (std::int64_t row = first; row < first + count; ++row, packed += view.cols) {
    const Stored* source = data + view.offset(row, 0);
    if (view.col_stride == 1) {
      std::copy_n(source, view.cols, packed);
    } else {
      const std::int64_t stride = view.col_stride;
      for (std::int64_t col = 0; col < view.cols; ++col) packed[col] = source[col * stride];
    }
  }
}

void pack(const WeightView& view, std::int64_t first, std::int64_t count, void* packed) {
  if (view.dtype == DType::f32) {
    pack_rows(view, first, count, static_cast<std::uint32_t*>(packed));
  } else {
    pack_rows(view, first, count, static_cast<std::uint16_t*>(packed));
  }
}

std::int64_t row_bytes(const WeightView& view) {
  return view.cols * dtype_bytes(view.dtype);
}

std::int64_t rows_of_piece(const WeightView& view) {
  return std::max<std::int64_t>(1, kPieceBytes / std::max<std::int64_t>(1, row_bytes(view)));
}

/// Calls use(rows on the host without gaps, first, count) for some rows after the other.
template <typename Use>
void for_pieces(const WeightView& view, std::int64_t rows, const Use& use) {
  const bool as_it_lies = is_row_major(view);
  std::vector<std::byte> packed;
  if (!as_it_lies) {
    packed.resize(static_cast<std::size_t>(std::min(rows, view.rows) * row_bytes(view)));
  }
  for (std::int64_t first = 0; first < view.rows; first += rows) {
    const std::int64_t count = std::min(rows, view.rows - first);
    if (!as_it_lies) pack(view, first, count, packed.data());
    const auto* const lying = static_cast<const std::byte*>(view.data) + first * row_bytes(view);
    use(as_it_lies ? lying : packed.data(), first, count);
  }
}

}  // namespace

WeightCache::Key WeightCache::key_of(const WeightView& view, int terms) {
  return {view.data,       view.dtype,      terms,          view.rows,        view.cols,
          view.row_stride, view.col_stride, view.row_group, view.group_stride};
}

WeightCache::Memory::Memory(WeightCache& owner, std::int64_t bytes)
    : cache(&owner), data(owner.memory_.allocate(bytes)), size(bytes) {
  cache->bytes_ += size;
}

WeightCache::Memory::~Memory() {
  cache->bytes_ -= size;
  ++cache->replaced_;
  cache->memory_.release(data);
}

void WeightCache::upload(const WeightView& view, void* device) {
  const std::int64_t rows = is_row_major(view) ? view.rows : rows_of_piece(view);
  for_pieces(view, rows, [&](const void* host, std::int64_t first, std::int64_t count) {
    memory_.copy(static_cast<char*>(device) + first * row_bytes(view), host,
                 count * row_bytes(view));
  });
}

void WeightCache::upload_terms(const WeightView& view, const DeviceTerms& to) {
  const std::int64_t rows = std::min(rows_of_piece(view), view.rows);
  const WorkMemory piece(memory_, rows * row_bytes(view));
  for_pieces(view, rows, [&](const void* host, std::int64_t first, std::int64_t count) {
    memory_.copy(piece.data, host, count * row_bytes(view));
    split_values(memory_.stream(), {piece.data, view.dtype, count * view.cols,
                                    const_cast<std::uint16_t*>(to.data) + first * view.cols,
                                    to.terms, to.term_stride()});
  });
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

DeviceMatrix WeightCache::matrix(const WeightView& view, const std::weak_ptr<const void>& owner) {
  const std::lock_guard lock(mutex_);
  void* const data = kept(key_of(view, 0), view.rows * row_bytes(view), owner,
                          [&](void* device) { upload(view, device); });
  return {data, view.dtype, view.rows, view.cols};
}

DeviceTerms WeightCache::terms(const WeightView& view, const std::weak_ptr<const void>& owner,
                               int terms) {
  if (view.dtype == DType::bf16 && terms == 1) {
    return {static_cast<const std::uint16_t*>(matrix(view, owner).data), 1, view.rows, view.cols};
  }
  const std::lock_guard lock(mutex_);
  DeviceTerms result{nullptr, terms, view.rows, view.cols};
  const std::int64_t bytes = terms * result.term_stride() * dtype_bytes(DType::bf16);
  const auto write = [&](void* device) {
    result.data = static_cast<const std::uint16_t*>(device);
    upload_terms(view, result);
  };
  result.data = static_cast<const std::uint16_t*>(kept(key_of(view, terms), bytes, owner, write));
  return result;
}

DeviceMatrix WeightCache::made(const WeightView& view, const Bf16Form& form,
                               const std::function<void(std::uint16_t*)>& fill) {
  const std::lock_guard lock(mutex_);
  // No view has groups of no rows.
  const Key key{view.data, view.dtype, form.numbers, form.rows, form.cols, 0, 0, 0, 0};
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
