// What every op needs besides its operands: the backend of its buffers, threads, and the
// instruction-set level and precision of the CPU kernels.
#pragma once

#include <memory>

#include "headspark/backend.h"
#include "headspark/isa.h"
#include "headspark/thread_pool.h"

namespace headspark {

struct Context {
  std::shared_ptr<Backend> backend;
  std::shared_ptr<ThreadPool> threads;
  Isa isa = Isa::specification;
  Precision precision = Precision::exact;
  /// Rows are generated tokens, or about to be drawn from: few, whatever the batch. A device may
  /// sum their products in another order than those of prompts, which is fixed as well.
  bool decoding = false;

  bool on_cpu() const { return backend->kind() == DeviceKind::cpu; }
};

/// A CPU context with `threads` threads (<= 0: all that this process may use).
Context make_cpu_context(int threads, Isa isa, Precision precision = Precision::exact);

}  // namespace headspark
