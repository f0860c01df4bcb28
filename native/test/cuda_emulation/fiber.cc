// Fibers by a hand-made switch of the callee-saved registers on x86-64 (System V ABI, section
// 3.2.1; a system call per switch, as in swapcontext, would cost ten times as much), by ucontext
// elsewhere.
#include "cuda_emulation/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace headspark::cuda_emulation {
namespace {

// Kernels keep fragments of some KB on the stack; AddressSanitizer surrounds each with red zones.
constexpr std::size_t kStackBytes = 128 << 10;
[[maybe_unused]] constexpr std::size_t kLastFrames = 4 << 10;

}  // namespace

#if defined(__x86_64__)

extern "C" void headspark_switch_stack(void** save, void* target);
__asm__(
    ".text\n"
    ".type headspark_switch_stack, @function\n"
    "headspark_switch_stack:\n"
    "  pushq %rbp\n"
    "  pushq %rbx\n"
    "  pushq %r12\n"
    "  pushq %r13\n"
    "  pushq %r14\n"
    "  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n"
    "  popq %r14\n"
    "  popq %r13\n"
    "  popq %r12\n"
    "  popq %rbx\n"
    "  popq %rbp\n"
    "  ret\n"
    ".size headspark_switch_stack, .-headspark_switch_stack\n"
    // First instruction of a fiber: its object was put into r12, its function into r13.
    ".type headspark_start_fiber, @function\n"
    "headspark_start_fiber:\n"
    "  movq %r12, %rdi\n"
    "  callq *%r13\n"
    "  ud2\n"
    ".size headspark_start_fiber, .-headspark_start_fiber\n");
extern "C" void headspark_start_fiber();

struct Fiber::Machine {
  void* fiber = nullptr;
  void* caller = nullptr;

  void prepare(unsigned char* stack, void (*run)(void*), Fiber* self) {
    void** top = reinterpret_cast<void**>(stack + kStackBytes);
    // From the top: where `ret` goes (the stack is then aligned as a call wants it), rbp, rbx,
    // r12, r13, r14, r15.
    top[-1] = reinterpret_cast<void*>(&headspark_start_fiber);
    top[-2] = nullptr;
    top[-3] = nullptr;
    top[-4] = self;
    top[-5] = reinterpret_cast<void*>(run);
    top[-6] = nullptr;
    top[-7] = nullptr;
    fiber = top - 7;
  }
  void enter() { headspark_switch_stack(&caller, fiber); }
  void exit() { headspark_switch_stack(&fiber, caller); }
};

#else

struct Fiber::Machine {
  ucontext_t fiber{};
  ucontext_t caller{};

  static void begin(unsigned low, unsigned high, unsigned run_low, unsigned run_high) {
    const auto join = [](unsigned a, unsigned b) {
      return static_cast<std::uintptr_t>(a) | (static_cast<std::uintptr_t>(b) << 32);
    };
    reinterpret_cast<void (*)(void*)>(join(run_low, run_high))(
        reinterpret_cast<void*>(join(low, high)));
  }
  void prepare(unsigned char* stack, void (*run)(void*), Fiber* self) {
    getcontext(&fiber);
    fiber.uc_stack.ss_sp = stack;
    fiber.uc_stack.ss_size = kStackBytes;
    fiber.uc_link = nullptr;
    const auto object = reinterpret_cast<std::uintptr_t>(self);
    const auto function = reinterpret_cast<std::uintptr_t>(run);
    makecontext(&fiber, reinterpret_cast<void (*)()>(&begin), 4, static_cast<unsigned>(object),
                static_cast<unsigned>(object >> 32), static_cast<unsigned>(function),
                static_cast<unsigned>(function >> 32));
  }
  void enter() { swapcontext(&caller, &fiber); }
  void exit() { swapcontext(&fiber, &caller); }
};

#endif

Fiber::Fiber() : machine_(new Machine) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* memory = mmap(nullptr, kStackBytes + page, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  mprotect(memory, page, PROT_NONE);  // an overflow stops here
  stack_ = static_cast<unsigned char*>(memory) + page;
}

Fiber::~Fiber() {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack_, kStackBytes);
#endif
  munmap(stack_ - page, kStackBytes + page);
  delete machine_;
}

void Fiber::start(void (*entry)(void*), void* argument) {
  entry_ = entry;
  argument_ = argument;
  fiber_fake_stack_ = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  // Frames that a run left behind: one that ended those of `run` and `leave`, a forgotten one any.
  const std::size_t left = finished_ ? kLastFrames : kStackBytes;
  __asan_unpoison_memory_region(stack_ + kStackBytes - left, left);
#endif
  finished_ = false;
  machine_->prepare(stack_, &Fiber::run, this);
}

void Fiber::run(void* self) {
  Fiber& fiber = *static_cast<Fiber*>(self);
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(nullptr, &fiber.caller_stack_, &fiber.caller_stack_bytes_);
#endif
  fiber.entry_(fiber.argument_);
  fiber.finished_ = true;
  fiber.leave(true);
}

void Fiber::resume() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&caller_fake_stack_, stack_, kStackBytes);
#endif
  machine_->enter();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(caller_fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::yield() {
  leave(false);
}

void Fiber::leave([[maybe_unused]] bool for_good) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fiber_fake_stack_, caller_stack_,
                                 caller_stack_bytes_);
#endif
  machine_->exit();
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fiber_fake_stack_, &caller_stack_, &caller_stack_bytes_);
#endif
}

}  // namespace headspark::cuda_emulation
