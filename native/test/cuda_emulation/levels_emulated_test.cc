// The implementation that the op suite runs on in builds with the emulated CUDA device. Device
// memory is host memory there, so the suite hands over its guarded arrays as they are.
#include "cuda_emulation/block.h"
#include "op_suite.h"

namespace headspark::test {

Context Level::context(int threads, Precision precision) const {
  // Kernels whose bits depend on the order of threads or blocks lack a barrier.
  cuda_emulation::set_schedule(threads > 1 ? cuda_emulation::Schedule::shuffled
                                           : cuda_emulation::Schedule::ascending);
  Context context = make_cpu_context(1, Isa::specification, precision);
  context.backend = make_cuda_backend(0);
  return context;
}

const std::vector<Level>& levels() {
  static const std::vector<Level> all = {{"the emulated CUDA device", std::nullopt}};
  return all;
}

std::string level_name(const Context& context) {
  return context.on_cpu() ? isa_name(context.isa) : levels().front().name;
}

}  // namespace headspark::test
