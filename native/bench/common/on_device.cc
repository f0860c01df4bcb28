// Waiting for a device, timing what runs on it, and what its results are compared with.
#include "common/on_device.h"

#include <algorithm>
#include <cmath>

namespace headspark::bench {
namespace {

constexpr double kQueuedSeconds = 5e-3;
constexpr double kMostQueued = 1000;

}  // namespace

Context make_context(const Options& options) {
  Context context = make_cpu_context(options.threads, default_isa(), options.precision);
  if (options.device == DeviceKind::cuda) context.backend = make_cuda_backend(options.device_index);
  return context;
}

void synchronize(const Context& context) {
  if (context.on_cpu()) return;
  // A copy to the host waits for all that was queued before it.
  Buffer<float> one(context.backend, 1);
  one.zero();
  one.to_host();
}

Timing time_queued(const Context& context, const std::function<void()>& run, const Budget& budget) {
  int queued = 1;
  const std::function<void()> all = [&] {
    for (int i = 0; i < queued; ++i) run();
    synchronize(context);
  };
  if (!context.on_cpu()) {
    const Timing once = time_interleaved({&all, 1}, {0, 1}).front();
    if (once.least >= kQueuedSeconds && budget.rounds <= 1 && budget.milliseconds <= 0) return once;
    queued = static_cast<int>(std::clamp(std::ceil(kQueuedSeconds / once.least), 1.0, kMostQueued));
  }
  Timing timing = time_interleaved({&all, 1}, budget).front();
  for (double* seconds : {&timing.median, &timing.least, &timing.most}) *seconds /= queued;
  return timing;
}

Context reference_of(const Context& context) {
  const int threads = context.threads->threads();
  return make_cpu_context(threads, context.on_cpu() ? Isa::specification : default_isa());
}

}  // namespace headspark::bench
