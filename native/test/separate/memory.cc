// Two reservations of the same size: one to point into, one to compute in.
#include "separate/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "headspark/error.h"
#include "suite_device.h"

namespace headspark {
namespace test {
namespace {

constexpr std::int64_t kAlignment = 256;  // cudaMalloc's
// Between allocations lie addresses of nobody, which bytes_at refuses.
constexpr std::int64_t kGap = 4096;

char* reserve(int protection) {
  void* address = mmap(nullptr, SeparateMemory::kLargest, protection,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    throw Error(ErrorCode::OUT_OF_MEMORY, "No address space for the separate device.");
  }
  return static_cast<char*>(address);
}

class SeparateBackend final : public Backend {
 public:
  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string name() const override { return "the separate device"; }
  std::int64_t available_bytes() override { return memory_.available(); }
  void plan(const MemoryPlan&) override {}
  void* allocate(std::int64_t bytes) override { return memory_.allocate(bytes); }
  void release(void* memory) noexcept override { memory_.release(memory); }
  void copy_to_device(void* device, const void* host, std::int64_t bytes) override {
    if (bytes > 0) {
      std::memcpy(memory_.bytes_at(device, bytes), host, static_cast<std::size_t>(bytes));
    }
  }
  void copy_to_host(void* host, const void* device, std::int64_t bytes) override {
    if (bytes > 0) {
      std::memcpy(host, memory_.bytes_at(device, bytes), static_cast<std::size_t>(bytes));
    }
  }
  void zero(void* device, std::int64_t bytes) override {
    if (bytes > 0) {
      std::memset(memory_.bytes_at(device, bytes), 0, static_cast<std::size_t>(bytes));
    }
  }

 private:
  SeparateMemory& memory_ = SeparateMemory::get();
};

}  // namespace

SeparateMemory& SeparateMemory::get() {
  static SeparateMemory memory;
  return memory;
}

SeparateMemory::SeparateMemory()
    : device_(reserve(PROT_NONE)), bytes_(reserve(PROT_READ | PROT_WRITE)) {}

void* SeparateMemory::allocate(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::int64_t size =
      (std::max<std::int64_t>(bytes, 1) + kAlignment - 1) / kAlignment * kAlignment;
  std::int64_t at = 0;  // first fit
  for (const auto& [offset, used] : used_) {
    if (offset - at >= size + kGap) break;
    at = offset + used + kGap;
  }
  if (bytes < 0 || size > size_ - in_use_ || at + size > kLargest) {
    throw Error(ErrorCode::OUT_OF_MEMORY, "The separate device has no " + std::to_string(bytes) +
                                              " bytes; use a smaller batch.");
  }
  used_[at] = size;
  in_use_ += size;
  ++allocations_;
  std::memset(bytes_ + at, 0xff, static_cast<std::size_t>(size));
  return device_ + at;
}

void SeparateMemory::release(void* device) noexcept {
  if (device == nullptr) return;
  const std::lock_guard lock(mutex_);
  const auto found = used_.find(static_cast<char*>(device) - device_);
  if (found == used_.end()) std::abort();  // released twice, or never allocated
  madvise(bytes_ + found->first, static_cast<std::size_t>(found->second), MADV_DONTNEED);
  in_use_ -= found->second;
  used_.erase(found);
}

void* SeparateMemory::bytes_at(const void* device, std::int64_t bytes) const {
  const std::lock_guard lock(mutex_);
  const std::int64_t offset = static_cast<const char*>(device) - device_;
  auto after = used_.upper_bound(offset);
  if (after == used_.begin() ||
      offset + bytes > std::prev(after)->first + std::prev(after)->second) {
    throw Error(ErrorCode::INTERNAL,
                "A device operation was given an address that is not in an allocation of the "
                "device.");
  }
  return bytes_ + offset;
}

std::int64_t SeparateMemory::bytes_in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

std::int64_t SeparateMemory::allocations() const {
  const std::lock_guard lock(mutex_);
  return allocations_;
}

void SeparateMemory::set_size(std::int64_t bytes) {
  const std::lock_guard lock(mutex_);
  size_ = bytes;
}

std::int64_t SeparateMemory::available() const {
  const std::lock_guard lock(mutex_);
  return size_ - in_use_;
}

std::shared_ptr<Backend> make_separate_backend() {
  return std::make_shared<SeparateBackend>();
}

DeviceKind suite_device() {
  return DeviceKind::cuda;
}

bool suite_has_fast() {
  return false;
}

}  // namespace test

// In this program, device "cuda:0" is the separate one.
std::shared_ptr<Backend> make_cuda_backend(int) {
  return test::make_separate_backend();
}

}  // namespace headspark
