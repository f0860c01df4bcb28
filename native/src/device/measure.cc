// Peak fp32 arithmetic and copy bandwidth of this machine, for `doctor` and for judging kernels.
// All threads work at the same time; the rate is total work over the slowest thread's time.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "device/peak_kernel.h"
#include "headspark/device.h"

namespace headspark {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Phase {
  const char* name;
  int threads;
  double seconds;
};

// One step of work on one thread; returns the amount done (operations or bytes).
using Step = std::function<double(int thread)>;

// Runs `step` over and over on every thread until the time is up or a stop is asked for. Returns
// the summed rate per second. The calling thread watches and reports.
double run_phase(const Phase& phase, const Step& step, const RunControl& control) {
  std::atomic<bool> stop{false};
  std::vector<double> rates(phase.threads, 0.0);
  std::vector<std::thread> threads;
  const auto join_all = [&] {
    stop = true;
    for (std::thread& thread : threads) thread.join();
  };
  const Clock::time_point start = Clock::now();
  try {
    threads.reserve(phase.threads);
    for (int index = 0; index < phase.threads; ++index) {
      threads.emplace_back([&, index] {
        double work = 0;
        const Clock::time_point thread_start = Clock::now();
        // A thread that a busy machine lets begin after the end has a rate as well.
        do {
          work += step(index);
        } while (!stop.load(std::memory_order_relaxed));
        rates[index] = work / std::max(1e-9, seconds_since(thread_start));
      });
    }
    const auto total_ms = static_cast<std::uint64_t>(phase.seconds * 1000);
    for (double elapsed = 0; elapsed < phase.seconds; elapsed = seconds_since(start)) {
      control.check();
      control.report({static_cast<std::uint64_t>(elapsed * 1000), total_ms, phase.name});
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    control.report({total_ms, total_ms, phase.name});
  } catch (...) {
    join_all();
    throw;
  }
  join_all();
  double sum = 0;
  for (const double rate : rates) sum += rate;
  return sum;
}

// Of levels with software tiles, what the machine itself has.
PeakKernel kernel_for(Isa isa) {
#if HEADSPARK_X86
  const Isa level = std::min(isa, machine_isa());
  if (level >= Isa::avx512) return peak_avx512();
  if (level == Isa::avx2) return peak_avx2();
#else
  (void)isa;
#endif
  return peak_portable();
}

double measure_fma(const Phase& phase, Isa isa, const RunControl& control) {
  constexpr std::uint64_t rounds_per_step =
      100000;  // a few hundred microseconds between stop polls
  const PeakKernel kernel = kernel_for(isa);
  std::vector<float> sinks(phase.threads);
  return run_phase(
      phase,
      [&](int thread) {
        sinks[thread] += kernel.burst(rounds_per_step);
        return static_cast<double>(kernel.operations_per_round * rounds_per_step);
      },
      control);
}

double measure_copy(const Phase& phase, std::uint64_t bytes, const RunControl& control) {
  constexpr std::size_t chunk_bytes = std::size_t{4} << 20;
  struct Pair {
    std::unique_ptr<char[]> source;
    std::unique_ptr<char[]> target;
    std::size_t offset = 0;
  };
  std::vector<Pair> pairs(phase.threads);
  for (Pair& pair : pairs) {
    control.check();
    pair.source = std::make_unique<char[]>(bytes);  // zeroed, so its pages exist
    pair.target = std::make_unique<char[]>(bytes);
  }
  return run_phase(
      phase,
      [&](int thread) {
        Pair& pair = pairs[thread];
        const std::size_t count = std::min<std::size_t>(chunk_bytes, bytes - pair.offset);
        std::memcpy(pair.target.get() + pair.offset, pair.source.get() + pair.offset, count);
        pair.offset = pair.offset + count == bytes ? 0 : pair.offset + count;
        return 2.0 * static_cast<double>(count);
      },
      control);
}

void check_options(const PeakOptions& options) {
  if (options.threads < 0 || options.threads > 1024) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "threads must be from 1 to 1024, or 0 for all.");
  }
  if (options.milliseconds < 1 || options.milliseconds > 60000) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "milliseconds must be from 1 to 60000.");
  }
  if (options.copy_bytes < 4096 || options.copy_bytes > (std::uint64_t{1} << 32)) {
    throw Error(ErrorCode::INVALID_ARGUMENT, "copy_bytes must be from 4096 to 4294967296.");
  }
}

}  // namespace

PeakResult measure_peak(const PeakOptions& options, const RunControl& control) {
  check_options(options);
  PeakResult result;
  result.threads = options.threads > 0 ? options.threads : default_threads();
  result.isa = default_isa();
  const double seconds = options.milliseconds / 1000.0;
  result.fma_gflops = measure_fma({"fma", result.threads, seconds}, result.isa, control) / 1e9;
  result.copy_gb_per_s =
      measure_copy({"copy", result.threads, seconds}, options.copy_bytes, control) / 1e9;
  return result;
}

}  // namespace headspark
