// The CUDA backend: an engine's view of a GPU that it may share with other engines, and the device
// that the CUDA ops see.
#include "headspark/backend.h"

#include <cstdlib>
#include <string>

#include "cuda/device.h"
#include "cuda/op_device.h"
#include "cuda/step_graphs.h"
#include "device/memory_text.h"
#include "headspark/error.h"

namespace headspark {
namespace {

// HEADSPARK_CUDA_GRAPHS=none launches every kernel by itself.
bool records_work() {
  const char* const setting = std::getenv("HEADSPARK_CUDA_GRAPHS");
  return setting == nullptr || std::string(setting) != "none";
}

class CudaBackend final : public Backend, public cuda::OpDevice {
 public:
  explicit CudaBackend(int index) : device_(cuda::Device::get(index)) {}

  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string name() const override { return device_->name(); }
  std::int64_t available_bytes() override { return device_->available_bytes(); }
  void plan(const MemoryPlan& plan) override { plan_ = plan; }

  void* allocate(std::int64_t bytes) override {
    if (bytes < 0) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "A buffer of a negative size was asked for.");
    }
    void* memory = device_->try_allocate(bytes);
    if (memory == nullptr) throw_out_of_memory(bytes);
    return memory;
  }
  void release(void* memory) noexcept override { device_->release(memory); }
  void copy_to_device(void* device, const void* host, std::int64_t bytes) override {
    if (bytes > 0) device_->copy(device, host, bytes);
  }
  void copy_to_host(void* host, const void* device, std::int64_t bytes) override {
    if (bytes > 0) cuda::copy_to_host(stream(), host, device, bytes);
  }
  void zero(void* device, std::int64_t bytes) override {
    if (bytes > 0) cuda::zero(stream(), device, bytes);
  }
  std::unique_ptr<RepeatedWork> repeated_work() override {
    return records_work() ? std::make_unique<cuda::StepGraphs>(device_) : nullptr;
  }

  cuda::Stream stream() override {
    device_->enter();  // a job has a thread of its own
    return device_->stream();
  }
  cuda::DeviceTerms terms(const LinearWeight& weight, Precision precision) override {
    return device_->weights().terms(weight.view, owner_of(weight),
                                    product_terms(weight.view.dtype, precision));
  }
  cuda::DeviceMatrix matrix(const LinearWeight& weight) override {
    return device_->weights().matrix(weight.view, owner_of(weight));
  }
  cuda::DeviceMatrix table(const WeightView& view) override {
    return device_->weights().matrix(view, view.owner);
  }
  cuda::DeviceMatrix bf16_table(const WeightView& view, const cuda::Bf16Form& form,
                                const std::function<void(std::uint16_t*)>& fill) override {
    return device_->weights().made(view, form, fill);
  }
  const void* constant(const void* host, std::int64_t bytes) override {
    return device_->weights().constant(host, bytes);
  }
  void* scratch(cuda::ScratchSlot slot, std::int64_t bytes) override {
    return device_->scratch(slot, bytes);
  }
  void side_by_side(std::span<const std::function<void()>> works) override {
    device_->side_by_side(works);
  }
  cuda::LtProducts* products() override { return device_->products(); }

 private:
  /// The mapped file, or the weight itself where it was made.
  static std::weak_ptr<const void> owner_of(const LinearWeight& weight) {
    if (!weight.view.owner.expired()) return weight.view.owner;
    return weight.packed;
  }
  [[noreturn]] void throw_out_of_memory(std::int64_t bytes) const {
    throw Error(ErrorCode::OUT_OF_MEMORY,
                name() + " has no room for another " + memory_text(bytes) + ": " +
                    device_->usage() + ". Planned were " + memory_text(plan_.weight_bytes) +
                    " of weights and " + memory_text(plan_.workspace_bytes) +
                    " of workspace; lower memoryBytes (--memory), or stop what else uses the GPU.");
  }

  std::shared_ptr<cuda::Device> device_;
  MemoryPlan plan_;
};

}  // namespace

std::shared_ptr<Backend> make_cuda_backend(int index) {
  return std::make_shared<CudaBackend>(index);
}

}  // namespace headspark
