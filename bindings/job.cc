// How a job's thread and its environment's JavaScript thread meet.
//
// Per environment: one ThreadSafeFunction and a table of live jobs (JobTable). A job's thread only
// ever posts the job's number; the JavaScript thread looks the number up, so a late post finds
// nothing and is ignored. Cleanup hooks run last-in first-out: the table's hook is added after the
// ThreadSafeFunction was made and therefore joins the threads while posting is still legal.
#include "job.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "device_queue.h"
#include "errors.h"

namespace headspark::bindings {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds progress_interval{100};

// What both threads see. Everything but the flag is guarded by the mutex.
struct Shared {
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::optional<Progress> pending;  // the newest progress that JavaScript has not seen
  Clock::time_point last_post{};
  bool finished = false;
  Deliver deliver;                 // after success
  std::optional<Failure> failure;  // after anything else
};

struct Job {
  std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  Napi::Promise::Deferred deferred;
  Napi::FunctionReference on_progress;
  Napi::FunctionReference on_wake;
  std::shared_ptr<Waker> waker;
  std::optional<Napi::Error> thrown_by_hook;
  std::thread thread;

  explicit Job(Napi::Env env) : deferred(env) {}
};

class JobTable {
 public:
  explicit JobTable(Napi::Env env);
  ~JobTable() { stop_and_join(); }

  Napi::Object start(Napi::Env env, const JobOptions& options, Work work);
  void on_post(Napi::Env env, std::uint64_t id);
  void stop_and_join() noexcept;

 private:
  void run(std::uint64_t id, const std::shared_ptr<Shared>& shared, DeviceQueue::Turn* turn,
           Work work);
  void post(std::uint64_t id);
  void finish(Napi::Env env, std::uint64_t id);
  void deliver_progress(Napi::Env env, Job& job, const Progress& progress);
  void call_hook(Job& job, Napi::FunctionReference& hook, const std::vector<napi_value>& values);

  napi_threadsafe_function poster_ = nullptr;
  std::map<std::uint64_t, std::unique_ptr<Job>> jobs_;
  std::uint64_t next_id_ = 1;
};

void call_on_js_thread(napi_env env, napi_value, void* context, void* data) {
  if (env == nullptr) return;  // the environment is going: its hook has joined every job already
  auto* table = static_cast<JobTable*>(context);
  try {
    const Napi::HandleScope scope(env);
    table->on_post(env, reinterpret_cast<std::uintptr_t>(data));
  } catch (const Napi::Error& error) {
    // Only when the environment is terminating: JavaScript can be neither called nor told.
    (void)error;
  }
}

JobTable::JobTable(Napi::Env env) {
  const napi_value name = Napi::String::New(env, "headspark job");
  const napi_status made = napi_create_threadsafe_function(
      env, nullptr, nullptr, name, 0, 1, nullptr, nullptr, this, call_on_js_thread, &poster_);
  NAPI_THROW_IF_FAILED_VOID(env, made);
  napi_unref_threadsafe_function(env, poster_);  // an idle addon keeps no process alive
  const napi_status hooked = napi_add_env_cleanup_hook(
      env, [](void* table) { static_cast<JobTable*>(table)->stop_and_join(); }, this);
  NAPI_THROW_IF_FAILED_VOID(env, hooked);
}

void JobTable::stop_and_join() noexcept {
  for (auto& [id, job] : jobs_) job->shared->stop = true;
  for (auto& [id, job] : jobs_) {
    if (job->thread.joinable()) job->thread.join();
  }
}

void JobTable::post(std::uint64_t id) {
  // The queue is unbounded and the function is open for as long as any job's thread runs, so this
  // neither blocks nor fails but for memory.
  napi_call_threadsafe_function(poster_, reinterpret_cast<void*>(static_cast<std::uintptr_t>(id)),
                                napi_tsfn_nonblocking);
}

RunControl control_for(const std::shared_ptr<Shared>& shared, std::function<void()> post) {
  RunControl control;
  control.stop_hook = [shared] { return shared->stop.load(std::memory_order_relaxed); };
  control.progress_hook = [shared, post = std::move(post)](const Progress& progress) {
    {
      const std::lock_guard lock(shared->mutex);
      shared->pending = progress;
      const Clock::time_point now = Clock::now();
      if (now - shared->last_post < progress_interval) return;
      shared->last_post = now;
    }
    post();
  };
  return control;
}

void JobTable::run(std::uint64_t id, const std::shared_ptr<Shared>& shared, DeviceQueue::Turn* turn,
                   Work work) {
  Deliver deliver;
  std::optional<Failure> failure;
  try {
    const RunControl control = control_for(shared, [this, id] { post(id); });
    if (turn != nullptr) turn->wait(control.stop_hook);
    control.check();
    deliver = work(control);
    if (!deliver) throw Error(ErrorCode::INTERNAL, "The native job returned no result.");
  } catch (...) {
    failure = describe(std::current_exception());
  }
  work = nullptr;  // frees what the job held before its promise settles
  {
    const std::lock_guard lock(shared->mutex);
    shared->deliver = std::move(deliver);
    shared->failure = std::move(failure);
    shared->finished = true;
  }
  post(id);
}

Napi::Object handle_of(Napi::Env env, const Job& job) {
  Napi::Object handle = Napi::Object::New(env);
  handle.Set("promise", job.deferred.Promise());
  const std::weak_ptr<Shared> weak = job.shared;
  handle.Set("cancel", Napi::Function::New(
                           env,
                           [weak](const Napi::CallbackInfo&) {
                             if (const auto shared = weak.lock()) shared->stop = true;
                           },
                           "cancel"));
  return handle;
}

Napi::Object JobTable::start(Napi::Env env, const JobOptions& options, Work work) {
  auto job = std::make_unique<Job>(env);
  if (!options.on_progress.IsEmpty()) job->on_progress = Napi::Persistent(options.on_progress);
  Napi::Object handle = handle_of(env, *job);

  const std::uint64_t id = next_id_++;
  Job& kept = *(jobs_[id] = std::move(job));
  if (options.waker) {
    kept.on_wake = Napi::Persistent(options.on_wake);
    kept.waker = options.waker;
    kept.waker->connect([this, id] { post(id); });
  }
  // The place in the queue is taken here, so that jobs run in the order they were started, and
  // given up at the thread's very end, so that they settle in that order too.
  std::unique_ptr<DeviceQueue::Turn> turn;
  if (!options.device.empty()) {
    turn = std::make_unique<DeviceQueue::Turn>(DeviceQueue::for_device(options.device));
  }
  try {
    kept.thread = std::thread(
        [this, id, shared = kept.shared, turn = std::move(turn), work = std::move(work)]() mutable {
          run(id, shared, turn.get(), std::move(work));
          turn.reset();
        });
  } catch (const std::system_error&) {
    jobs_.erase(id);
    throw Error(ErrorCode::OUT_OF_MEMORY,
                "The system gave no thread for the job; raise the limit on processes (ulimit -u).");
  }
  if (jobs_.size() == 1) napi_ref_threadsafe_function(env, poster_);
  return handle;
}

void JobTable::on_post(Napi::Env env, std::uint64_t id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  Job& job = *found->second;
  std::optional<Progress> progress;
  bool finished = false;
  {
    const std::lock_guard lock(job.shared->mutex);
    progress.swap(job.shared->pending);
    finished = job.shared->finished;
  }
  if (progress) deliver_progress(env, job, *progress);
  if (job.waker && job.waker->take()) call_hook(job, job.on_wake, {});
  if (finished) finish(env, id);
}

// A hook that throws stops the job; finish() then rejects with what was thrown.
void JobTable::call_hook(Job& job, Napi::FunctionReference& hook,
                         const std::vector<napi_value>& values) {
  if (hook.IsEmpty()) return;
  try {
    hook.Call(values);
  } catch (const Napi::Error& error) {
    if (!job.thrown_by_hook) job.thrown_by_hook = error;
    hook.Reset();
    job.shared->stop = true;
  }
}

void JobTable::deliver_progress(Napi::Env env, Job& job, const Progress& progress) {
  if (job.on_progress.IsEmpty()) return;
  call_hook(job, job.on_progress,
            {Napi::Number::New(env, static_cast<double>(progress.done)),
             Napi::Number::New(env, static_cast<double>(progress.total)),
             Napi::String::New(env, progress.phase)});
}

void JobTable::finish(Napi::Env env, std::uint64_t id) {
  const std::unique_ptr<Job> job = std::move(jobs_[id]);
  jobs_.erase(id);
  job->thread.join();
  if (jobs_.empty()) napi_unref_threadsafe_function(env, poster_);
  if (job->thrown_by_hook) return job->deferred.Reject(job->thrown_by_hook->Value());

  Napi::Value value;
  try {
    Shared& shared = *job->shared;  // the thread has ended, so no lock
    if (shared.failure) throw to_js_error(env, *shared.failure);
    value = guarded(env, [&] { return shared.deliver(env); });
  } catch (const Napi::Error& error) {
    return job->deferred.Reject(error.Value());
  }
  job->deferred.Resolve(value);
}

}  // namespace

void Waker::wake() {
  if (!pending_.exchange(true)) post_();
}

// Registered as the environment's instance data, which node deletes after its cleanup hooks ran.
void init_jobs(Napi::Env env) {
  env.SetInstanceData(new JobTable(env));
}

Napi::Object start_job(Napi::Env env, const JobOptions& options, Work work) {
  return env.GetInstanceData<JobTable>()->start(env, options, std::move(work));
}

Napi::Function progress_argument(const Napi::CallbackInfo& info, std::size_t index) {
  const Napi::Value value = info[index];
  if (value.IsFunction()) return value.As<Napi::Function>();
  if (value.IsUndefined()) return {};
  throw to_js_error(info.Env(), {ErrorCode::INVALID_ARGUMENT, "onProgress must be a function."});
}

}  // namespace headspark::bindings
