#include "cuda_emulation/library_backend.h"

#include "cuda/lt_products.h"
#include "cuda/op_device.h"
#include "cuda_emulation/fake_cublas_lt.h"

namespace headspark::test {
namespace {

using namespace cuda;

class LibraryBackend final : public Backend, public OpDevice, public WeightMemory {
 public:
  LibraryBackend()
      : device_(make_cuda_backend(0)),
        ops_(dynamic_cast<OpDevice&>(*device_)),
        products_(fake_cublas_lt(), *this) {}

  DeviceKind kind() const override { return device_->kind(); }
  std::string name() const override { return device_->name() + " with cuBLASLt"; }
  std::int64_t available_bytes() override { return device_->available_bytes(); }
  void plan(const MemoryPlan& plan) override { device_->plan(plan); }
  void* allocate(std::int64_t bytes) override { return device_->allocate(bytes); }
  void release(void* memory) noexcept override { device_->release(memory); }
  void copy_to_device(void* device, const void* host, std::int64_t bytes) override {
    device_->copy_to_device(device, host, bytes);
  }
  void copy_to_host(void* host, const void* device, std::int64_t bytes) override {
    device_->copy_to_host(host, device, bytes);
  }
  void zero(void* device, std::int64_t bytes) override { device_->zero(device, bytes); }
  std::unique_ptr<RepeatedWork> repeated_work() override { return device_->repeated_work(); }
  void copy(void* device, const void* host, std::int64_t bytes) override {
    device_->copy_to_device(device, host, bytes);
  }

  Stream stream() override { return ops_.stream(); }
  DeviceTerms terms(const LinearWeight& weight, Precision precision) override {
    return ops_.terms(weight, precision);
  }
  DeviceMatrix matrix(const LinearWeight& weight) override { return ops_.matrix(weight); }
  DeviceMatrix table(const WeightView& view) override { return ops_.table(view); }
  DeviceMatrix bf16_table(const WeightView& view, const Bf16Form& form,
                          const std::function<void(std::uint16_t*)>& fill) override {
    return ops_.bf16_table(view, form, fill);
  }
  const void* constant(const void* host, std::int64_t bytes) override {
    return ops_.constant(host, bytes);
  }
  void* scratch(ScratchSlot slot, std::int64_t bytes) override { return ops_.scratch(slot, bytes); }
  void side_by_side(std::span<const std::function<void()>> works) override {
    ops_.side_by_side(works);
  }
  LtProducts* products() override { return &products_; }

 private:
  std::shared_ptr<Backend> device_;
  OpDevice& ops_;
  LtProducts products_;
};

}  // namespace

std::shared_ptr<Backend> make_library_backend() {
  return std::make_shared<LibraryBackend>();
}

}  // namespace headspark::test
