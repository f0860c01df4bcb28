// Copies of weights on one device. Matrices are copied once and kept for as long as whoever owns
// their file, or the rotary table or low-rank term, which never changes; vectors (norms, biases)
// are compared with what was copied, since nobody owns them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <vector>

#include "cuda/op_device.h"

namespace headspark::cuda {

/// Where the copies live: allocation that throws OUT_OF_MEMORY, and copies queued on the stream.
class WeightMemory {
 public:
  virtual ~WeightMemory() = default;
  virtual Stream stream() = 0;
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// The host's bytes may change as soon as this returns.
  virtual void copy(void* device, const void* host, std::int64_t bytes) = 0;
};

/// Memory for as long as what is queued now.
struct WorkMemory {
  WeightMemory& from;
  void* data;

  WorkMemory(WeightMemory& memory, std::int64_t bytes)
      : from(memory), data(memory.allocate(bytes)) {}
  ~WorkMemory() { from.release(data); }
  WorkMemory(const WorkMemory&) = delete;
  WorkMemory& operator=(const WorkMemory&) = delete;
};

/// A model may be loaded, which purges, while a job of another one runs.
class WeightCache {
 public:
  explicit WeightCache(WeightMemory& memory) : memory_(memory) {}

  /// [rows, cols] row-major. Without an owner that lives the matrix is copied at each use, to the
  /// same place while its shape stays.
  DeviceMatrix matrix(const WeightView& view, const std::weak_ptr<const void>& owner);
  /// The same as so many bf16 terms of each value.
  DeviceTerms terms(const WeightView& view, const std::weak_ptr<const void>& owner, int terms);
  /// bf16 that `fill` writes, over zeros, made of what `view` shows. As matrix(), for each form.
  DeviceMatrix made(const WeightView& view, const Bf16Form& form,
                    const std::function<void(std::uint16_t*)>& fill);
  /// `bytes` bytes as they are now.
  const void* constant(const void* host, std::int64_t bytes);

  /// Gives back the matrices whose owner is gone.
  void purge();
  /// Gives back all vectors too.
  void clear();

  std::int64_t bytes() const { return bytes_; }
  /// Matrices copied since the cache was made.
  std::int64_t uploads() const { return uploads_; }
  /// Copies given back or written over since then: what was recorded before may read them no more.
  std::uint64_t replaced() const { return replaced_; }

 private:
  /// Of a view, and how many terms or numbers its values became; 0: as they are stored.
  using Key = std::tuple<const void*, DType, int, std::int64_t, std::int64_t, std::int64_t,
                         std::int64_t, std::int64_t, std::int64_t>;
  struct Memory {
    WeightCache* cache = nullptr;
    void* data = nullptr;
    std::int64_t size = 0;

    Memory(WeightCache& owner, std::int64_t bytes);
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
  };
  struct Matrix {
    std::weak_ptr<const void> owner;
    std::unique_ptr<Memory> memory;
  };
  struct Constant {
    std::vector<std::byte> host;
    std::unique_ptr<Memory> memory;
    std::uint64_t last_use = 0;
  };

  static Key key_of(const WeightView& view, int terms);
  /// The copy with this key, whose bytes `write` brings to the device where they are not there.
  void* kept(const Key& key, std::int64_t bytes, const std::weak_ptr<const void>& owner,
             const std::function<void(void*)>& write);
  void upload(const WeightView& view, void* device);
  void upload_terms(const WeightView& view, const DeviceTerms& to);
  void forget_oldest();

  WeightMemory& memory_;
  /// Recursive, since memory for a copy may have to be found by a purge.
  std::recursive_mutex mutex_;
  std::atomic<std::int64_t> bytes_ = 0;
  std::atomic<std::int64_t> uploads_ = 0;
  std::atomic<std::uint64_t> replaced_ = 0;
  std::int64_t constant_bytes_ = 0;
  std::uint64_t clock_ = 0;
  std::map<Key, Matrix> matrices_;
  std::map<std::pair<const void*, std::int64_t>, Constant> constants_;
};

}  // namespace headspark::cuda
