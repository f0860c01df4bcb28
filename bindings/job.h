// Long work off the JavaScript thread: a thread per job (never libuv's pool), a promise that is
// settled exactly once, thinned progress, and a stop flag. A job outlives nothing: when its
// environment is torn down in mid-run it is stopped and joined, and no JavaScript is called.
#pragma once

#include <functional>
#include <string>

#include "headspark/run_control.h"
#include "napi.h"

namespace headspark::bindings {

// Turns what the work produced into its JavaScript value. Runs on the JavaScript thread.
using Deliver = std::function<Napi::Value(Napi::Env)>;

// The work itself. Runs on the job's own thread while it holds the device, so it must touch no
// Napi value: copy the arguments first. It may throw anything.
using Work = std::function<Deliver(const RunControl&)>;

struct JobOptions {
  std::string device = "cpu";  // one heavy job per device at a time; the others wait their turn
  Napi::Function on_progress;  // (done, total, phase), at most ~10 a second, the last one always
};

// Called once from the addon's Init, before any start_job.
void init_jobs(Napi::Env env);

// Starts `work` and returns {promise, cancel()} . The promise rejects with a coded error;
// ERR_HEADSPARK_CANCELLED after cancel(). If on_progress throws, the job is cancelled and the
// promise rejects with what was thrown. JavaScript thread only.
Napi::Object start_job(Napi::Env env, const JobOptions& options, Work work);

// Reads a trailing `onProgress` argument: a function, undefined or absent; else INVALID_ARGUMENT.
Napi::Function progress_argument(const Napi::CallbackInfo& info, std::size_t index);

}  // namespace headspark::bindings
