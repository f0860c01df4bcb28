// Where buffers live. Every op takes device pointers of the backend of its Context; only the
// functions here move data between host and device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "headspark/repeated_work.h"

namespace headspark {

enum class DeviceKind { cpu, cuda };

/// What an engine means to hold on its device at most; a failed allocation names it.
struct MemoryPlan {
  std::int64_t weight_bytes = 0;     ///< copies of the weights; 0 where they are read in place
  std::int64_t workspace_bytes = 0;  ///< the memory budget
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual DeviceKind kind() const = 0;
  /// For messages: "the CPU", "cuda:0 (NVIDIA H200)".
  virtual std::string name() const = 0;
  /// Bytes that may still be allocated: of the system, or of the device.
  virtual std::int64_t available_bytes() = 0;
  /// Told once by the engine that this backend is for, before its first run.
  virtual void plan(const MemoryPlan& plan) = 0;
  /// 64-byte aligned device memory; throws Error(OUT_OF_MEMORY) naming the size asked for.
  virtual void* allocate(std::int64_t bytes) = 0;
  virtual void release(void* memory) noexcept = 0;
  /// See BufferReuse. Calls pair up, from any thread; nothing where released memory is kept anyway.
  virtual void begin_reuse() {}
  virtual void end_reuse() noexcept {}
  virtual void copy_to_device(void* device, const void* host, std::int64_t bytes) = 0;
  virtual void copy_to_host(void* host, const void* device, std::int64_t bytes) = 0;
  virtual void zero(void* device, std::int64_t bytes) = 0;
  /// `host` as ops may write it, where the device works on the host's memory; else null, and
  /// results are copied there.
  virtual void* in_place(void* /*host*/) { return nullptr; }
  /// A place for records of work that repeats; null where recording saves nothing, as on the CPU.
  virtual std::unique_ptr<RepeatedWork> repeated_work() { return nullptr; }
};

/// While one lives, the backend keeps what buffers release for those that come after: a job has one
/// for as long as it runs.
class BufferReuse {
 public:
  explicit BufferReuse(std::shared_ptr<Backend> backend) : backend_(std::move(backend)) {
    backend_->begin_reuse();
  }
  ~BufferReuse() { backend_->end_reuse(); }
  BufferReuse(const BufferReuse&) = delete;
  BufferReuse& operator=(const BufferReuse&) = delete;

 private:
  std::shared_ptr<Backend> backend_;
};

std::shared_ptr<Backend> make_cpu_backend();

/// The CUDA backend of device `index`; without CUDA in this build: Error(DEVICE) in one sentence.
std::shared_ptr<Backend> make_cuda_backend(int index);

}  // namespace headspark
