// A job whose thread owns the Generator. JavaScript puts requests into an inbox and takes events
// out of an outbox; a full outbox makes the thread wait, so a slow consumer slows the generation.
// The device is held while there is work and given up while waiting for either.
#include "generation.h"

#include <chrono>
#include <condition_variable>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "arguments.h"
#include "device_queue.h"
#include "errors.h"
#include "headspark/generate.h"
#include "job.h"
#include "model.h"
#include "packed.h"
#include "results.h"
#include "words.h"

namespace headspark::bindings {
namespace {

constexpr std::size_t kMostEvents = 1 << 16;  // in the outbox; a step may go over it once
// The stop flag has no condition variable of its own, so it is polled.
constexpr std::chrono::milliseconds kPoll{20};

// What both threads see; guarded by the mutex.
struct Session {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<GenerationRequest> inbox;
  std::vector<std::uint64_t> stops;
  bool ended = false;  // no more requests will come
  std::vector<GenerationEvent> outbox;
};

class SessionRun {
 public:
  SessionRun(const Engine& engine, GenerationOptions options, std::string device,
             std::shared_ptr<Session> session, std::shared_ptr<Waker> waker)
      : engine_(engine),
        device_(std::move(device)),
        session_(std::move(session)),
        waker_(std::move(waker)),
        generator_(engine_, std::move(options)) {}

  GenerationStats run(const RunControl& control) {
    while (take_inbox(control)) {
      if (generator_.idle()) continue;
      if (!turn_) {
        turn_ = std::make_unique<DeviceQueue::Turn>(DeviceQueue::for_device(device_));
        turn_->wait(control.stop_hook);
      }
      std::vector<GenerationEvent> events;
      generator_.step(control, [&](const GenerationEvent& event) { events.push_back(event); });
      if (events.empty()) continue;
      check_files(*engine_.model);  // before anybody keeps what was generated
      {
        const std::lock_guard lock(session_->mutex);
        session_->outbox.insert(session_->outbox.end(), events.begin(), events.end());
      }
      waker_->wake();
    }
    return generator_.stats();
  }

 private:
  // Waits until there is something to do and room for what it brings. False when all is done.
  bool take_inbox(const RunControl& control) {
    std::vector<GenerationRequest> requests;
    std::vector<std::uint64_t> stops;
    {
      std::unique_lock lock(session_->mutex);
      while (blocked()) {
        control.check();
        turn_.reset();
        session_->changed.wait_for(lock, kPoll);
      }
      requests.swap(session_->inbox);
      stops.swap(session_->stops);
      if (requests.empty() && generator_.idle() && session_->ended) return false;
    }
    for (GenerationRequest& request : requests) add(std::move(request));
    for (const std::uint64_t stop : stops) generator_.stop(stop);
    return true;
  }

  bool blocked() const {
    if (session_->outbox.size() >= kMostEvents) return true;
    return generator_.idle() && session_->inbox.empty() && !session_->ended;
  }

  void add(GenerationRequest request) {
    try {
      generator_.add(std::move(request));
      ++added_;
    } catch (const Error& error) {
      throw Error(error.code(), "Request " + std::to_string(added_) + ": " + error.what());
    }
  }

  const Engine engine_;
  std::string device_;
  std::shared_ptr<Session> session_;
  std::shared_ptr<Waker> waker_;
  Generator generator_;
  std::unique_ptr<DeviceQueue::Turn> turn_;
  std::uint64_t added_ = 0;
};

template <typename T>
const std::vector<T>& of_length(const std::vector<T>& values, std::size_t count,
                                const char* field) {
  if (values.size() == count) return values;
  throw Error(ErrorCode::INVALID_ARGUMENT,
              std::string("add: '") + field + "' needs one value a request.");
}

// {prompts, heads, stopTokens: ragged rows; temperature, topP, minP, repetitionPenalty:
// Float32Array; topK, maxNewTokens: Int32Array; positions: Uint8Array; seeds: Int32Array, low and
// high half of each; replacements: Int32Array, begin, length and loop of each; logProbs:
// Uint8Array}
std::vector<GenerationRequest> read_requests(const Arguments& arguments) {
  TokenRows prompts = read_rows(arguments, "prompts", "add");
  TokenRows stop_tokens = read_rows(arguments, "stopTokens", "add");
  auto heads = read_heads(arguments, "heads", "add");
  const std::size_t count = prompts.size();
  of_length(stop_tokens, count, "stopTokens");
  of_length(heads, count, "heads");
  const auto floats = [&](const char* field) {
    return of_length(arguments.float32s(field), count, field);
  };
  const auto integers = [&](const char* field, std::size_t per_request) {
    return of_length(arguments.int32s(field), per_request * count, field);
  };
  const auto temperature = floats("temperature");
  const auto top_p = floats("topP");
  const auto min_p = floats("minP");
  const auto penalty = floats("repetitionPenalty");
  const auto top_k = integers("topK", 1);
  const auto max_new_tokens = integers("maxNewTokens", 1);
  const auto seeds = integers("seeds", 2);
  const auto replacements = integers("replacements", 3);
  const auto positions = of_length(arguments.uint8s("positions"), count, "positions");
  const auto log_probs = of_length(arguments.uint8s("logProbs"), count, "logProbs");
  std::vector<GenerationRequest> requests(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (positions[i] > static_cast<std::uint8_t>(GatePositions::generated)) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "add: 'positions' holds an unknown value.");
    }
    GenerationRequest& request = requests[i];
    request.prompt = std::move(prompts[i]);
    request.heads = std::move(heads[i]);
    request.positions = static_cast<GatePositions>(positions[i]);
    request.replacement = {replacements[3 * i], replacements[3 * i + 1], replacements[3 * i + 2]};
    request.sampling = {penalty[i], temperature[i], top_k[i], top_p[i], min_p[i]};
    request.seed =
        (static_cast<std::uint64_t>(static_cast<std::uint32_t>(seeds[2 * i + 1])) << 32) |
        static_cast<std::uint32_t>(seeds[2 * i]);
    request.max_new_tokens = max_new_tokens[i];
    request.stop_tokens = std::move(stop_tokens[i]);
    request.log_probs = log_probs[i] != 0;
  }
  return requests;
}

Napi::Value js_add(Session& session, const Napi::CallbackInfo& call) {
  auto requests = read_requests(Arguments(call[0], "add"));
  {
    const std::lock_guard lock(session.mutex);
    for (GenerationRequest& request : requests) session.inbox.push_back(std::move(request));
  }
  session.changed.notify_all();
  return call.Env().Undefined();
}

Napi::Value js_stop(Session& session, const Napi::CallbackInfo& call) {
  const Arguments arguments(call[0], "stop");
  const std::vector<std::int32_t> numbers = arguments.int32s("requests");
  const std::lock_guard lock(session.mutex);
  for (const std::int32_t number : numbers) {
    if (number >= 0) session.stops.push_back(static_cast<std::uint64_t>(number));
  }
  return call.Env().Undefined();
}

Napi::Value js_end(Session& session, const Napi::CallbackInfo& call) {
  {
    const std::lock_guard lock(session.mutex);
    session.ended = true;
  }
  session.changed.notify_all();
  return call.Env().Undefined();
}

// {events: Int32Array of (request, token, finish) triples, a token of -1 is none; margins,
// logProbs: Float32Array, one an event, logProbs above 0 are none}
Napi::Value js_take(Session& session, const Napi::CallbackInfo& call) {
  std::vector<GenerationEvent> events;
  {
    const std::lock_guard lock(session.mutex);
    events.swap(session.outbox);
  }
  session.changed.notify_all();
  std::vector<std::int32_t> values;
  std::vector<float> margins;
  std::vector<float> log_probs;
  values.reserve(3 * events.size());
  margins.reserve(events.size());
  log_probs.reserve(events.size());
  for (const GenerationEvent& event : events) {
    values.push_back(static_cast<std::int32_t>(event.request));
    values.push_back(event.token);
    values.push_back(static_cast<std::int32_t>(event.finish));
    margins.push_back(event.margin);
    log_probs.push_back(event.log_prob);
  }
  Napi::Object taken = Napi::Object::New(call.Env());
  taken.Set("events", to_int32_array(call.Env(), std::move(values)));
  taken.Set("margins", to_float32_array(call.Env(), std::move(margins)));
  taken.Set("logProbs", to_float32_array(call.Env(), std::move(log_probs)));
  return taken;
}

Napi::Object stats_to_js(Napi::Env env, const GenerationStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  const auto set = [&](const char* name, std::int64_t value) {
    object.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("steps", stats.steps);
  set("decodedTokens", stats.decoded_tokens);
  set("prefilledLayerTokens", stats.prefilled_layer_tokens);
  set("preemptions", stats.preemptions);
  set("mostPagesUsed", stats.most_pages_used);
  set("pageCapacity", stats.page_capacity);
  return object;
}

using SessionFunction = Napi::Value (*)(Session&, const Napi::CallbackInfo&);

void set_function(Napi::Object& handle, const char* name, const std::shared_ptr<Session>& session,
                  SessionFunction function) {
  handle.Set(name, Napi::Function::New(
                       handle.Env(),
                       [session, function](const Napi::CallbackInfo& call) -> Napi::Value {
                         return guarded(call.Env(), [&] { return function(*session, call); });
                       },
                       name));
}

// createGeneration(model, {maxRows, memoryBytes, replacement?}, onWake)
//   -> {promise, cancel(), add(requests), stop({requests}), end(), take()}
Napi::Value js_create_generation(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], "createGeneration");
    const Arguments arguments(call[1], "createGeneration");
    GenerationOptions options;
    options.max_rows = static_cast<std::int32_t>(arguments.integer("maxRows", 1, 65536));
    options.memory_bytes = arguments.integer("memoryBytes", 0, (std::int64_t{1} << 53) - 1);
    if (arguments.has("replacement")) options.replacement = arguments.float32s("replacement");
    if (!call[2].IsFunction()) {
      throw Error(ErrorCode::INVALID_ARGUMENT, "createGeneration: onWake must be a function.");
    }
    const auto session = std::make_shared<Session>();
    JobOptions job;
    job.device = "";
    job.on_wake = call[2].As<Napi::Function>();
    job.waker = std::make_shared<Waker>();
    Napi::Object handle = start_model_job(
        env, loaded.engine.model, job,
        [engine = loaded.engine, device = loaded.device, session, waker = job.waker,
         options](const RunControl& control) -> Deliver {
          const GenerationStats stats =
              SessionRun(engine, options, device, session, waker).run(control);
          return [stats](Napi::Env js_env) -> Napi::Value { return stats_to_js(js_env, stats); };
        });
    set_function(handle, "add", session, js_add);
    set_function(handle, "stop", session, js_stop);
    set_function(handle, "end", session, js_end);
    set_function(handle, "take", session, js_take);
    return handle;
  });
}

}  // namespace

void register_generation(Napi::Env env, Napi::Object exports) {
  exports.Set("createGeneration",
              Napi::Function::New(env, js_create_generation, "createGeneration"));
}

}  // namespace headspark::bindings
