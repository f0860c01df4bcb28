// The smallest backend that the ops run on, for builds whose host half is not there: everything is
// uploaded once and kept as long as the backend.
#include <cstring>
#include <deque>
#include <vector>

#include "cuda/op_device.h"
#include "headspark/device.h"

namespace headspark {
namespace {

class EmulatedBackend final : public Backend, public cuda::OpDevice {
 public:
  DeviceKind kind() const override { return DeviceKind::cuda; }
  void* allocate(std::int64_t bytes) override {
    void* memory = bytes >= 0 ? cuda::try_allocate(bytes) : nullptr;
    if (memory == nullptr) {
      throw Error(ErrorCode::OUT_OF_MEMORY,
                  "Could not allocate " + std::to_string(bytes) + " bytes on the device.");
    }
    return memory;
  }
  void release(void* memory) noexcept override { cuda::release(memory); }
  void copy_to_device(void* device, const void* host, std::int64_t bytes) override {
    cuda::copy_to_device(nullptr, device, host, bytes);
  }
  void copy_to_host(void* host, const void* device, std::int64_t bytes) override {
    cuda::copy_to_host(nullptr, host, device, bytes);
  }
  void zero(void* device, std::int64_t bytes) override { cuda::zero(nullptr, device, bytes); }

  cuda::Stream stream() override { return nullptr; }
  cuda::DeviceMatrix matrix(const LinearWeight& weight) override { return table(weight.view); }
  cuda::DeviceMatrix table(const WeightView& view) override {
    const std::int64_t size = dtype_bytes(view.dtype);
    char* const data = keep(view.rows * view.cols * size);
    for (std::int64_t row = 0; row < view.rows; ++row) {
      for (std::int64_t col = 0; col < view.cols; ++col) {
        std::memcpy(data + (row * view.cols + col) * size,
                    static_cast<const char*>(view.data) + view.offset(row, col) * size,
                    static_cast<std::size_t>(size));
      }
    }
    return {data, view.dtype, view.rows, view.cols};
  }
  const void* constant(const void* host, std::int64_t bytes) override {
    char* const data = keep(bytes);
    std::memcpy(data, host, static_cast<std::size_t>(bytes));
    return data;
  }
  void* scratch(cuda::ScratchSlot slot, std::int64_t bytes) override {
    Memory& memory = scratch_[static_cast<std::size_t>(slot)];
    memory = Memory(allocate(bytes), &cuda::release);
    std::memset(memory.get(), 0xff, static_cast<std::size_t>(bytes));  // NaN: never read before
    return memory.get();
  }

 private:
  using Memory = std::unique_ptr<void, void (*)(void*) noexcept>;

  char* keep(std::int64_t bytes) {
    kept_.emplace_back(allocate(bytes), &cuda::release);
    return static_cast<char*>(kept_.back().get());
  }

  std::deque<Memory> kept_;
  std::vector<Memory> scratch_ = [] {
    std::vector<Memory> slots;
    for (int i = 0; i < static_cast<int>(cuda::ScratchSlot::count); ++i) {
      slots.emplace_back(nullptr, &cuda::release);
    }
    return slots;
  }();
};

}  // namespace

std::shared_ptr<Backend> make_cuda_backend(int index) {
  cuda::use_device(index);
  return std::make_shared<EmulatedBackend>();
}

GpuProbe probe_gpus() {
  return {{}, "This build emulates a CUDA device for tests."};
}

}  // namespace headspark
