// Head properties as a job.
#include "heads.h"

#include <memory>
#include <utility>

#include "arguments.h"
#include "errors.h"
#include "headspark/error.h"
#include "headspark/head_properties.h"
#include "job.h"
#include "model.h"
#include "packed.h"
#include "results.h"
#include "words.h"

namespace headspark::bindings {
namespace {

constexpr const char* kFunction = "headProperties";

[[noreturn]] void reject(const std::string& problem) {
  throw Error(ErrorCode::INVALID_ARGUMENT, std::string(kFunction) + ": " + problem + ".");
}

/// The answers of all prompts as ragged rows, and how many belong to each prompt.
void set_answers(const Arguments& arguments, std::vector<HeadPrompt>& prompts) {
  TokenRows correct = read_rows(arguments, "correct", kFunction);
  TokenRows incorrect = read_rows(arguments, "incorrect", kFunction);
  const std::vector<std::int32_t> counts = arguments.int32s("answerCounts");
  if (counts.size() != prompts.size()) reject("'answerCounts' needs one number a prompt");
  if (correct.size() != incorrect.size()) reject("'correct' and 'incorrect' must have one length");
  std::size_t at = 0;
  for (std::size_t prompt = 0; prompt < prompts.size(); ++prompt) {
    for (std::int32_t i = 0; i < counts[prompt]; ++i, ++at) {
      if (at >= correct.size()) reject("'answerCounts' counts more answers than there are");
      prompts[prompt].answers.push_back({std::move(correct[at]), std::move(incorrect[at])});
    }
  }
  if (at != correct.size()) reject("'answerCounts' counts fewer answers than there are");
}

std::vector<HeadPrompt> prompts_argument(const Arguments& arguments) {
  TokenRows tokens = read_rows(arguments, "prompts", kFunction);
  const TokenRows classes = read_rows(arguments, "classes", kFunction);
  if (classes.size() != tokens.size()) reject("'classes' needs one row a prompt");
  std::vector<HeadPrompt> prompts(tokens.size());
  for (std::size_t prompt = 0; prompt < prompts.size(); ++prompt) {
    prompts[prompt].tokens = std::move(tokens[prompt]);
    prompts[prompt].classes.assign(classes[prompt].begin(), classes[prompt].end());
  }
  set_answers(arguments, prompts);
  return prompts;
}

/// Two arrays of one length, as pairs of numbers.
template <typename T>
std::vector<T> pairs_argument(const Arguments& object, const char* first, const char* second) {
  const std::vector<std::int32_t> a = object.int32s(first);
  const std::vector<std::int32_t> b = object.int32s(second);
  if (a.size() != b.size()) {
    reject(std::string("'") + first + "' and '" + second + "' must have one length");
  }
  std::vector<T> pairs;
  for (std::size_t i = 0; i < a.size(); ++i) pairs.push_back({a[i], b[i]});
  return pairs;
}

Napi::Object properties_to_js(Napi::Env env, HeadProperties& result) {
  std::vector<float> maps;
  for (const std::vector<float>& map : result.maps) maps.insert(maps.end(), map.begin(), map.end());
  Napi::Object object = Napi::Object::New(env);
  object.Set("columns", static_cast<double>(result.columns));
  object.Set("values", to_float32_array(env, std::move(result.values)));
  object.Set("uniform", to_float32_array(env, std::move(result.uniform)));
  object.Set("copying", to_float32_array(env, std::move(result.copying)));
  object.Set("maps", to_float32_array(env, std::move(maps)));
  return object;
}

// headProperties(model, {prompts, classes, correct, …}, onProgress?) -> {promise, cancel()}
Napi::Value js_head_properties(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const ModelHandle::Loaded& loaded = model_argument(env, call[0], kFunction);
    const Arguments arguments(call[1], kFunction);
    HeadPropertiesRequest request;
    request.prompts = prompts_argument(arguments);
    request.heads = pairs_argument<HeadIndex>(arguments, "layers", "heads");
    request.maps = pairs_argument<HeadMap>(arguments, "mapPrompts", "mapHeads");
    request.classes = static_cast<std::int32_t>(arguments.integer("classCount", 0, 32));
    request.queries = queries_of(arguments.string("queries"));
    request.copying = arguments.boolean("copying");
    const JobOptions job{.device = loaded.device, .on_progress = progress_argument(call, 2)};
    return start_model_job(
        env, loaded.engine.model, job,
        [engine = loaded.engine,
         request = std::move(request)](const RunControl& control) -> Deliver {
          auto result = std::make_shared<HeadProperties>(head_properties(engine, request, control));
          return [result](Napi::Env js_env) -> Napi::Value {
            return properties_to_js(js_env, *result);
          };
        });
  });
}

}  // namespace

void register_heads(Napi::Env env, Napi::Object exports) {
  exports.Set("headProperties", Napi::Function::New(env, js_head_properties, "headProperties"));
}

}  // namespace headspark::bindings
