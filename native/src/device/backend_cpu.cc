// The CPU backend: buffers are aligned host memory, copies are memcpy.
#include <cstring>
#include <string>

#include "device/kept_memory.h"
#include "headspark/backend.h"
#include "headspark/context.h"
#include "headspark/device.h"
#include "headspark/error.h"

namespace headspark {
namespace {

// 64 TiB, half of a process's address space: more is a wrong size, and is not worth asking for.
constexpr std::int64_t kLargestBuffer = std::int64_t{1} << 46;

class CpuBackend final : public Backend {
 public:
  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::string name() const override { return "the CPU"; }
  std::int64_t available_bytes() override {
    return static_cast<std::int64_t>(device_info().memory_available_bytes);
  }
  void plan(const MemoryPlan&) override {}  // the budget is kept by the planner alone

  void* allocate(std::int64_t bytes) override {
    if (bytes < 0) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "A buffer of a negative size was asked for.");
    }
    void* memory = bytes <= kLargestBuffer ? memory_.try_allocate(bytes) : nullptr;
    if (memory == nullptr) {
      throw Error(ErrorCode::OUT_OF_MEMORY, "Could not allocate " + std::to_string(bytes) +
                                                " bytes; use a smaller batch or free memory.");
    }
    return memory;
  }

  void release(void* memory) noexcept override { memory_.release(memory); }
  void begin_reuse() override { memory_.begin(); }
  void end_reuse() noexcept override { memory_.end(); }

  void copy_to_device(void* device, const void* host, std::int64_t bytes) override {
    if (bytes > 0) std::memcpy(device, host, static_cast<std::size_t>(bytes));
  }

  void copy_to_host(void* host, const void* device, std::int64_t bytes) override {
    if (bytes > 0) std::memcpy(host, device, static_cast<std::size_t>(bytes));
  }

  void zero(void* device, std::int64_t bytes) override {
    if (bytes > 0) std::memset(device, 0, static_cast<std::size_t>(bytes));
  }

  void* in_place(void* host) override { return host; }

 private:
  KeptMemory memory_;
};

}  // namespace

std::shared_ptr<Backend> make_cpu_backend() {
  return std::make_shared<CpuBackend>();
}

Context make_cpu_context(int threads, Isa isa, Precision precision) {
  if (!isa_runs_here(isa)) {
    throw Error(ErrorCode::INVALID_ARGUMENT, std::string("The CPU kernels '") + isa_name(isa) +
                                                 "' do not run here; use '" +
                                                 isa_name(machine_isa()) + "' or lower.");
  }
  return {make_cpu_backend(), std::make_shared<ThreadPool>(threads), isa, precision};
}

}  // namespace headspark
