// Long work off the JavaScript thread: a thread per job (never libuv's pool), a promise that is
// settled exactly once, thinned progress, and a stop flag. A job outlives nothing: when its
// environment is torn down in mid-run it is stopped and joined, and no JavaScript is called.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "headspark/run_control.h"
#include "napi.h"

namespace headspark::bindings {

// Turns what the work produced into its JavaScript value. Runs on the JavaScript thread.
using Deliver = std::function<Napi::Value(Napi::Env)>;

// The work itself. Runs on the job's own thread while it holds the device, so it must touch no
// Napi value: copy the arguments first. It may throw anything.
using Work = std::function<Deliver(const RunControl&)>;

// Lets a job's thread call JavaScript's on_wake; wakes that JavaScript has not seen yet are one.
class Waker {
 public:
  // The job's thread only.
  void wake();
  // JavaScript thread: true when there was a wake since the last take().
  bool take() { return pending_.exchange(false); }
  // By start_job, before the thread runs.
  void connect(std::function<void()> post) { post_ = std::move(post); }

 private:
  std::atomic<bool> pending_{false};
  std::function<void()> post_;
};

struct JobOptions {
  // One heavy job per device at a time; the others wait their turn. Empty: the job takes turns by
  // itself (DeviceQueue) or needs none.
  std::string device = "cpu";
  Napi::Function on_progress;  // (done, total, phase), at most ~10 a second, the last one always
  // (), some time after waker->wake(), and before the promise settles
  Napi::Function on_wake = {};
  std::shared_ptr<Waker> waker = {};
};

// Called once from the addon's Init, before any start_job.
void init_jobs(Napi::Env env);

// Starts `work` and returns {promise, cancel()} . The promise rejects with a coded error;
// ERR_HEADSPARK_CANCELLED after cancel(). If on_progress throws, the job is cancelled and the
// promise rejects with what was thrown; the same for on_wake. JavaScript thread only.
Napi::Object start_job(Napi::Env env, const JobOptions& options, Work work);

// Reads a trailing `onProgress` argument: a function, undefined or absent; else INVALID_ARGUMENT.
Napi::Function progress_argument(const Napi::CallbackInfo& info, std::size_t index);

}  // namespace headspark::bindings
