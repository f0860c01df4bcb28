// Contexts by the command line, operands on their devices, and how long work there takes.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "common/measure.h"
#include "common/options.h"
#include "headspark/buffer.h"
#include "headspark/context.h"

namespace headspark::bench {

template <typename T>
Buffer<T> to_device(const Context& context, const std::vector<T>& values) {
  return Buffer<T>(context.backend, std::span<const T>(values));
}

inline Buffer<float> floats(const Context& context, std::int64_t count) {
  return Buffer<float>(context.backend, count);
}

/// The device, threads, level and precision that options name. Errors: DEVICE when it is not there.
Context make_context(const Options& options);

/// Returns when all work that was given to the device is done; at once on the CPU.
void synchronize(const Context& context);

/// Times one run of work that was run before. A GPU is given many short runs without waiting for
/// each, as engines give it their ops: waiting would cost more than a small op takes.
Timing time_queued(const Context& context, const std::function<void()>& run, const Budget& budget);

/// The context that results of `context` are verified on: the specification of the CPU's kernels,
/// and for a GPU the CPU's own best kernels, which such benchmarks verify elsewhere.
Context reference_of(const Context& context);

}  // namespace headspark::bench
