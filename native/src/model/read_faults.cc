// The handler may run in any thread at any moment, so what it reads is a list of atomics whose
// nodes are used again and never freed.
#include "model/read_faults.h"

#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <mutex>

namespace headspark {

struct WatchedRange {
  std::atomic<std::uintptr_t> begin{0};  ///< 0: free
  std::atomic<std::uintptr_t> end{0};
  std::atomic<bool> faulted{false};
  WatchedRange* next = nullptr;
};

namespace {

std::atomic<WatchedRange*> ranges{nullptr};
std::mutex changes;  // of everything but what the handler writes
int watched = 0;
struct sigaction previous = {};

/// Puts zeros under the whole mapping that holds the address: one call, and one area of memory
/// however many pages are gone. mmap is a plain system call, which a handler may make.
bool answered_with_zeros(std::uintptr_t address) {
  for (WatchedRange* range = ranges.load(); range != nullptr; range = range->next) {
    const std::uintptr_t begin = range->begin.load();
    const std::uintptr_t end = range->end.load();
    if (begin == 0 || address < begin || address >= end) continue;
    range->faulted = true;
    void* zeros = mmap(reinterpret_cast<void*>(begin), end - begin, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    return zeros != MAP_FAILED;
  }
  return false;
}

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const int kept = errno;
  const bool answered = answered_with_zeros(reinterpret_cast<std::uintptr_t>(info->si_addr));
  errno = kept;
  if (answered) return;
  if ((previous.sa_flags & SA_SIGINFO) != 0) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    sigaction(signal, &previous, nullptr);  // the instruction runs again and ends the process
  }
}

void install() {
  struct sigaction action = {};
  action.sa_sigaction = on_bus_error;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous);
}

/// So that nothing points into an addon that is unloaded with the worker that used it.
void uninstall() {
  struct sigaction current = {};
  sigaction(SIGBUS, nullptr, &current);
  const bool ours = (current.sa_flags & SA_SIGINFO) != 0 && current.sa_sigaction == on_bus_error;
  if (ours) sigaction(SIGBUS, &previous, nullptr);
}

WatchedRange* free_range() {
  WatchedRange* range = ranges.load();
  while (range != nullptr && range->begin != 0) range = range->next;
  if (range != nullptr) return range;
  range = new WatchedRange;
  range->next = ranges.load();
  ranges = range;
  return range;
}

}  // namespace

ReadFaults::ReadFaults(const std::byte* data, std::size_t size) {
  const std::lock_guard lock(changes);
  range_ = free_range();
  range_->faulted = false;
  const auto begin = reinterpret_cast<std::uintptr_t>(data);
  range_->end = begin + size;
  range_->begin = begin;
  if (watched++ == 0) install();
}

ReadFaults::~ReadFaults() {
  const std::lock_guard lock(changes);
  range_->begin = 0;
  if (--watched == 0) uninstall();
}

bool ReadFaults::faulted() const {
  return range_->faulted;
}

}  // namespace headspark
