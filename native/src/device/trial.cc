#include "device/trial.h"

#if defined(__unix__) || defined(__APPLE__)

#include <setjmp.h>
#include <signal.h>

#include <mutex>

namespace headspark {
namespace {

sigjmp_buf behind_trial;
thread_local bool trying = false;

extern "C" void on_illegal_instruction(int signal) {
  if (trying) siglongjmp(behind_trial, 1);
  // Another thread's: it ends the process, as it would have.
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  sigaction(signal, &standard, nullptr);
}

}  // namespace

bool runs_here(void (*instructions)()) {
  static std::mutex one_at_a_time;
  const std::lock_guard<std::mutex> lock(one_at_a_time);
  struct sigaction trial = {};
  struct sigaction before = {};
  trial.sa_handler = on_illegal_instruction;
  if (sigaction(SIGILL, &trial, &before) != 0) return false;
  volatile bool ran = false;
  trying = true;
  if (sigsetjmp(behind_trial, 1) == 0) {
    instructions();
    ran = true;
  }
  trying = false;
  sigaction(SIGILL, &before, nullptr);
  return ran;
}

}  // namespace headspark

#else

namespace headspark {

bool runs_here(void (*)()) {
  return false;
}

}  // namespace headspark

#endif
