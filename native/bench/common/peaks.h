// The peaks of the device that a context computes on: what results are shares of.
#pragma once

#include <memory>
#include <string>

#include "headspark/context.h"

namespace headspark::bench {

struct Peaks {
  double fma_gflops = 0;              // fp32 multiply-adds of the CPU's threads; 0: not measured
  double bf16_gflops = 0;             // of the instruction below; 0: there is none
  const char* bf16_instruction = "";  // "TDPBF16PS", "VDPBF16PS", "bf16 products" (a GPU), or empty
  double copy_gb_per_s = 0;           // read plus written

  /// What shares are printed of: fp32 multiply-adds, and on a GPU its bf16 products.
  double gflops() const { return fma_gflops > 0 ? fma_gflops : bf16_gflops; }
};

/// Measures the peaks again and again, about `milliseconds` for each. On a GPU bf16 products are
/// those of linear_forward in `fast` at a size that fills it, and a copy is `combine` of arrays
/// well past its caches.
class PeakMeter {
 public:
  PeakMeter(const Context& context, double milliseconds);
  ~PeakMeter();

  Peaks measure() const;

 private:
  struct GpuWork;

  Context context_;
  double milliseconds_;
  std::unique_ptr<GpuWork> gpu_;  // null on the CPU
};

/// Peak by peak.
Peaks larger(const Peaks& a, const Peaks& b);

/// Operations per second in the unit that fits, from 1e9 a second.
std::string rate_text(double gflops);

std::string peaks_text(const Peaks& peaks);

/// The device in words: the CPU with its threads and kernels, or the GPU with what multiplies
/// there.
std::string computer_text(const Context& context);

}  // namespace headspark::bench
