// Peaks: register loops on the CPU, products and copies on a GPU.
#include "common/peaks.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>

#include "common/bf16_peak.h"
#include "common/measure.h"
#include "common/on_device.h"
#include "headspark/device.h"
#include "headspark/ops/linear.h"
#include "headspark/ops/rows.h"

namespace headspark::bench {
namespace {

// 2 * 8192^3 operations take a GPU of 800 TFLOP/s 1.4 ms; smaller ones are given smaller products.
constexpr std::int64_t kMostSize = 8192;
constexpr std::int64_t kLeastSize = 64;
constexpr double kEnoughSeconds = 1e-3;

Peaks cpu_peaks(const Context& context, double milliseconds) {
  PeakOptions options;
  options.threads = context.threads->threads();
  options.milliseconds = static_cast<int>(milliseconds);
  const PeakResult peak = measure_peak(options, {});
  const Bf16Peak bf16 = measure_bf16_peak(context, milliseconds);
  return {peak.fma_gflops, bf16.gflops, bf16.instruction, peak.copy_gb_per_s};
}

/// A square product of random operands.
struct Product {
  std::int64_t size;
  std::vector<std::uint16_t> bits;
  LinearWeight weight;
  Buffer<float> x, y;

  Product(const Context& context, std::int64_t side) : size(side) {
    const std::vector<float> values = noise(side * side);
    bits.resize(values.size());
    std::transform(values.begin(), values.end(), bits.begin(), f32_to_bf16);
    weight = make_linear_weight(contiguous_view(bits.data(), DType::bf16, side, side));
    x = to_device(context, values);
    y = Buffer<float>(context.backend, side * side);
  }
  double flops() const {
    return 2.0 * static_cast<double>(size * size) * static_cast<double>(size);
  }
};

/// Seconds of the fastest run.
double least_seconds(const Context& context, double milliseconds,
                     const std::function<void()>& run) {
  const std::function<void()> finished = [&] {
    run();
    synchronize(context);
  };
  finished();
  return time_interleaved({&finished, 1}, {milliseconds, 1}).front().least;
}

}  // namespace

/// Made once, because making it takes longer than measuring with it.
struct PeakMeter::GpuWork {
  Context context;
  std::unique_ptr<Product> product;
  Buffer<float> copied;

  explicit GpuWork(const Context& given) : context(given) {
    context.precision = Precision::fast;
    std::int64_t size = kLeastSize;
    do {
      product = std::make_unique<Product>(context, size);
      size *= 2;
    } while (size <= kMostSize && multiply(0) < kEnoughSeconds);
    copied = floats(context, product->x.size());
  }
  double multiply(double milliseconds) const {
    return least_seconds(context, milliseconds, [&] {
      linear_forward(context, whole_layer(product->weight, product->size, product->x.data(),
                                          product->y.data()));
    });
  }
  double copy(double milliseconds) {
    return least_seconds(context, milliseconds, [&] {
      combine(context,
              {.count = copied.size(), .x = product->x.data(), .b = 0.0f, .y = copied.data()});
    });
  }
};

PeakMeter::PeakMeter(const Context& context, double milliseconds)
    : context_(context), milliseconds_(milliseconds) {
  if (!context.on_cpu()) gpu_ = std::make_unique<GpuWork>(context);
}

PeakMeter::~PeakMeter() = default;

Peaks PeakMeter::measure() const {
  if (gpu_ == nullptr) return cpu_peaks(context_, milliseconds_);
  Peaks peaks;
  peaks.bf16_instruction = "bf16 products";
  peaks.bf16_gflops = gpu_->product->flops() / gpu_->multiply(milliseconds_) * 1e-9;
  peaks.copy_gb_per_s =
      2.0 * static_cast<double>(gpu_->copied.bytes()) / gpu_->copy(milliseconds_) * 1e-9;
  return peaks;
}

Peaks larger(const Peaks& a, const Peaks& b) {
  return {std::max(a.fma_gflops, b.fma_gflops), std::max(a.bf16_gflops, b.bf16_gflops),
          a.bf16_instruction, std::max(a.copy_gb_per_s, b.copy_gb_per_s)};
}

std::string rate_text(double gflops) {
  const bool large = gflops >= 1e4;
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.1f %cFLOP/s", large ? gflops * 1e-3 : gflops,
                large ? 'T' : 'G');
  return text.data();
}

std::string peaks_text(const Peaks& peaks) {
  std::string text;
  if (peaks.fma_gflops > 0) text += "fp32 FMA " + rate_text(peaks.fma_gflops) + ", ";
  if (peaks.bf16_gflops > 0) {
    text += std::string(peaks.bf16_instruction) + " " + rate_text(peaks.bf16_gflops) + ", ";
  }
  std::array<char, 48> copy{};
  std::snprintf(copy.data(), copy.size(), "copy %.1f GB/s", peaks.copy_gb_per_s);
  return text + copy.data();
}

std::string computer_text(const Context& context) {
  if (!context.on_cpu()) {
    const std::string library = probe_gpus().cublas_lt;
    return context.backend->name() + ", products by " +
           (library.empty() ? "headspark's own kernels" : library);
  }
  return device_info().cpu_name + ", " + std::to_string(context.threads->threads()) +
         " threads, kernels " + isa_name(context.isa);
}

}  // namespace headspark::bench
