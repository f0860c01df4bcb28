// The emulated device with the stand-in for cuBLASLt, made anew.
#pragma once

#include "cuda/lt_products.h"
#include "cuda_emulation/fake_cublas_lt.h"
#include "cuda_emulation/gemm_problem.h"

namespace headspark::test {

class LibraryDevice final : public GemmDevice, public cuda::WeightMemory {
 public:
  LibraryDevice() : products_(fake_cublas_lt(), *this) { FakeCublasLt::get() = {}; }
  cuda::LtProducts* products() override { return &products_; }
  cuda::Stream stream() override { return nullptr; }
  void* allocate(std::int64_t bytes) override {
    return ::operator new(static_cast<std::size_t>(bytes));
  }
  void release(void* memory) noexcept override { ::operator delete(memory); }
  void copy(void* device, const void* host, std::int64_t bytes) override {
    cuda::copy_to_device(nullptr, device, host, bytes);
  }

 private:
  cuda::LtProducts products_;
};

}  // namespace headspark::test
