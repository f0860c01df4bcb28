// Slabs, the free list, and copy-on-write.
#include "engine/kv_pages.h"

#include <algorithm>

#include "headspark/error.h"

namespace headspark {
namespace {

constexpr std::int64_t kSlabBytes = 16 << 20;

}  // namespace

KvPagePool::KvPagePool(const Engine& engine, std::int64_t budget_bytes)
    : context_(engine.context),
      layout_{engine.config().kv_heads, engine.config().head_dim, kv_page_type(engine.context)},
      copies_(engine.context) {
  // Pages are numbered in 32 bits.
  capacity_ = std::clamp<std::int64_t>(budget_bytes / page_bytes(), 0, 1 << 30);
}

bool KvPagePool::add_slab() {
  const std::int64_t left = capacity_ - static_cast<std::int64_t>(data_.size());
  const std::int64_t count = std::min(left, std::max<std::int64_t>(1, kSlabBytes / page_bytes()));
  if (count <= 0) return false;
  try {
    slabs_.emplace_back(context_.backend, count * layout_.floats());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::OUT_OF_MEMORY) throw;
    capacity_ = static_cast<std::int64_t>(data_.size());
    return false;
  }
  free_.reserve(data_.size() + static_cast<std::size_t>(count));  // release() must not allocate
  // The padding of values must be zero; the rest is not read before it is stored.
  if (layout_.padded_dim() > layout_.head_dim) slabs_.back().zero();
  for (std::int64_t i = 0; i < count; ++i) {
    free_.push_back(static_cast<Page>(data_.size()));
    data_.push_back(slabs_.back().data() + i * layout_.floats());
    references_.push_back(0);
  }
  return true;
}

bool KvPagePool::prepare(std::int64_t count) {
  if (available() < count) return false;
  while (static_cast<std::int64_t>(free_.size()) < count) {
    if (!add_slab()) return false;
  }
  return true;
}

void KvPagePool::use(std::int64_t count) {
  used_ += count;
  most_used_ = std::max(most_used_, used_);
}

KvPagePool::Page KvPagePool::allocate() {
  if (free_.empty()) throw Error(ErrorCode::INTERNAL, "The key/value pool has no prepared page.");
  const Page page = free_.back();
  free_.pop_back();
  references_[static_cast<std::size_t>(page)] = 1;
  use(1);
  return page;
}

void KvPagePool::release(Page page) noexcept {
  if (--references_[static_cast<std::size_t>(page)] > 0) return;
  free_.push_back(page);
  --used_;
}

bool KvPagePool::make_hole() {
  if (!prepare(1)) return false;
  hole_ = allocate();
  const std::vector<float> zeros(static_cast<std::size_t>(layout_.floats()), 0.0f);
  context_.backend->copy_to_device(data(hole_), zeros.data(), page_bytes());
  return true;
}

bool KvPagePool::borrow(std::int64_t bytes) {
  if (available() < pages_of(bytes)) return false;
  use(pages_of(bytes));
  return true;
}

void KvSequence::share(const KvSequence& other, const LayerRange& layers, std::int64_t tokens) {
  version_ = pool_->next_version();
  const std::int64_t count = pages_for(tokens);
  for (std::int64_t index = layers.begin; index < layers.end; ++index) {
    auto& own = pages_[static_cast<std::size_t>(index)];
    for (std::int64_t i = 0; i < count; ++i) {
      own.push_back(other.layer(index)[static_cast<std::size_t>(i)]);
      pool_->add_reference(own.back());
    }
  }
}

std::int64_t KvSequence::missing(const LayerRange& layers, std::int64_t from,
                                 std::int64_t to) const {
  std::int64_t count = 0;
  for (std::int64_t index = layers.begin; index < layers.end; ++index) {
    const auto& own = layer(index);
    const auto last = static_cast<std::size_t>(pages_for(to));
    for (auto i = static_cast<std::size_t>(from / kKvPageTokens); i < last; ++i) {
      if (i >= own.size() || pool_->shared(own[i])) ++count;
    }
  }
  return count;
}

bool KvSequence::make_writable(const LayerRange& layers, std::int64_t from, std::int64_t to) {
  if (!pool_->prepare(missing(layers, from, to))) return false;
  const auto last = static_cast<std::size_t>(pages_for(to));
  for (std::int64_t index = layers.begin; index < layers.end; ++index) {
    auto& own = pages_[static_cast<std::size_t>(index)];
    for (auto i = static_cast<std::size_t>(from / kKvPageTokens); i < last; ++i) {
      if (i < own.size() && !pool_->shared(own[i])) continue;
      const KvPagePool::Page page = pool_->allocate();
      version_ = pool_->next_version();
      if (i >= own.size()) {
        own.push_back(page);
        continue;
      }
      pool_->add_copy(own[i], page);
      pool_->release(own[i]);  // others hold it, so it is there until it is copied
      own[i] = page;
    }
  }
  pool_->finish_copies();
  return true;
}

void KvSequence::forget(std::int64_t layer, std::int64_t position) {
  if (pool_->hole() < 0) return;
  auto& own = pages_[static_cast<std::size_t>(layer)];
  std::size_t& forgotten = forgotten_[static_cast<std::size_t>(layer)];
  const auto end = std::min(own.size(), static_cast<std::size_t>(position / kKvPageTokens));
  if (forgotten >= end) return;
  version_ = pool_->next_version();
  for (; forgotten < end; ++forgotten) {
    pool_->release(own[forgotten]);
    own[forgotten] = pool_->hole();
    pool_->add_reference(pool_->hole());
  }
}

void KvSequence::clear() noexcept {
  version_ = pool_->next_version();
  std::fill(forgotten_.begin(), forgotten_.end(), 0);
  for (auto& own : pages_) {
    for (const KvPagePool::Page page : own) pool_->release(page);
    own.clear();
  }
}

}  // namespace headspark
