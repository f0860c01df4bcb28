// A fiber: a function with its own stack that runs until it gives control back. Threads of an
// emulated CUDA block are fibers. AddressSanitizer is told of every switch.
#pragma once

#include <cstddef>

namespace headspark::cuda_emulation {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// The next resume() calls entry(argument) from the start. entry must not throw. A fiber that
  /// was left in the middle is forgotten: the objects on its stack are not destroyed.
  void start(void (*entry)(void*), void* argument);
  /// Runs the fiber until it yields or its entry returns.
  void resume();
  /// Called on the fiber: back to whoever resumed it.
  void yield();
  bool finished() const { return finished_; }

 private:
  struct Machine;  // saved registers; one layout per processor
  static void run(void* self);
  void leave(bool for_good);

  Machine* machine_ = nullptr;
  unsigned char* stack_ = nullptr;  // lowest usable byte; a guard page lies below
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  bool finished_ = true;
  // AddressSanitizer's view of both sides.
  void* fiber_fake_stack_ = nullptr;
  void* caller_fake_stack_ = nullptr;
  const void* caller_stack_ = nullptr;
  std::size_t caller_stack_bytes_ = 0;
};

}  // namespace headspark::cuda_emulation
