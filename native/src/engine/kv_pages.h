// The paged key/value cache: a pool of pages with reference counts, and the pages of one sequence
// in every layer. Sequences share pages; whoever writes to a shared page gets a copy first.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/block_copies.h"
#include "headspark/buffer.h"
#include "headspark/engine.h"
#include "headspark/ops/paged_attention.h"

namespace headspark {

/// Pages of a layer for so many tokens.
constexpr std::int64_t pages_for(std::int64_t tokens) {
  return (tokens + kKvPageTokens - 1) / kKvPageTokens;
}

/// All pages of one generation. Memory is taken in slabs as it is needed, up to the budget, and
/// given back when the pool goes.
class KvPagePool {
 public:
  using Page = std::int32_t;

  KvPagePool(const Engine& engine, std::int64_t budget_bytes);
  KvPagePool(const KvPagePool&) = delete;
  KvPagePool& operator=(const KvPagePool&) = delete;

  std::int64_t capacity() const { return capacity_; }
  std::int64_t used() const { return used_; }
  std::int64_t available() const { return capacity_ - used_; }
  std::int64_t page_bytes() const { return layout_.floats() * 4; }
  std::int64_t most_used() const { return most_used_; }

  /// Takes a page of zeros that stands for those that nobody reads any more; false without one.
  bool make_hole();
  Page hole() const { return hole_; }

  /// Makes sure that `count` pages can be allocated. False when the budget does not allow it, or
  /// the system has no memory (then the budget shrinks to what there is).
  bool prepare(std::int64_t count);
  /// Only after prepare(). References: one.
  Page allocate();
  void add_reference(Page page) { ++references_[static_cast<std::size_t>(page)]; }
  void release(Page page) noexcept;
  bool shared(Page page) const { return references_[static_cast<std::size_t>(page)] > 1; }
  float* data(Page page) const { return data_[static_cast<std::size_t>(page)]; }
  /// Has `from` copied to `to` by the next finish_copies().
  void add_copy(Page from, Page to) { copies_.add(data(from), data(to)); }
  void finish_copies() { copies_.run(layout_.floats()); }
  /// Another number at each call, from 1 on.
  std::uint64_t next_version() { return ++version_; }

  /// Takes the budget of `bytes` of other memory; false when there is not enough left.
  bool borrow(std::int64_t bytes);
  void give_back(std::int64_t bytes) noexcept { used_ -= pages_of(bytes); }

 private:
  std::int64_t pages_of(std::int64_t bytes) const {
    return (bytes + page_bytes() - 1) / page_bytes();
  }
  bool add_slab();
  void use(std::int64_t count);

  Context context_;
  KvPageLayout layout_;
  std::int64_t capacity_ = 0;
  std::int64_t used_ = 0;       // pages with references, and borrowed budget
  std::int64_t most_used_ = 0;  // since the pool was made
  std::vector<Buffer<float>> slabs_;
  std::vector<float*> data_;
  std::vector<std::int32_t> references_;
  std::vector<Page> free_;
  BlockCopies copies_;
  std::uint64_t version_ = 0;
  Page hole_ = -1;  // none
};

/// Layers [begin, end).
struct LayerRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// The pages of one sequence, layer by layer; releases them when it goes.
class KvSequence {
 public:
  KvSequence(KvPagePool& pool, std::int64_t layers)
      : pool_(&pool),
        pages_(static_cast<std::size_t>(layers)),
        forgotten_(pages_.size(), 0),
        version_(pool.next_version()) {}
  ~KvSequence() { clear(); }
  KvSequence(const KvSequence&) = delete;
  KvSequence& operator=(const KvSequence&) = delete;

  const std::vector<KvPagePool::Page>& layer(std::int64_t index) const {
    return pages_[static_cast<std::size_t>(index)];
  }
  /// Takes the first `tokens` positions of `other` in these layers, sharing its pages.
  void share(const KvSequence& other, const LayerRange& layers, std::int64_t tokens);
  /// Pages that make_writable would take from the pool.
  std::int64_t missing(const LayerRange& layers, std::int64_t from, std::int64_t to) const;
  /// Pages of positions [from, to) exist and are this sequence's own. False, with nothing changed,
  /// when the pool has too few.
  bool make_writable(const LayerRange& layers, std::int64_t from, std::int64_t to);
  /// Gives up the pages of a layer that end before `position`: nobody reads them any more. Where
  /// the pool has a hole, it is in their places.
  void forget(std::int64_t layer, std::int64_t position);
  void clear() noexcept;
  /// Of the list of pages: changes with it, and no other sequence of the pool has the same.
  std::uint64_t version() const { return version_; }

 private:
  KvPagePool* pool_;
  std::vector<std::vector<KvPagePool::Page>> pages_;
  std::vector<std::size_t> forgotten_;  // pages of each layer, its first ones
  std::uint64_t version_;
};

}  // namespace headspark
