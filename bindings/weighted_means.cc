// weightedMeans({values, weights, rows, means}): synchronous, into the caller's array.
#include "weighted_means.h"

#include <algorithm>

#include "arguments.h"
#include "errors.h"
#include "headspark/context.h"
#include "headspark/device.h"
#include "headspark/error.h"
#include "headspark/weighted_means.h"

namespace headspark::bindings {
namespace {

/// The pool lives for one call, so that no environment owns one: a thread has to pay for its start,
/// with at least half a millisecond of work.
int threads_for(std::int64_t products) {
  constexpr std::int64_t enough = std::int64_t{1} << 22;
  const std::int64_t wanted = std::max<std::int64_t>(1, products / enough);
  return static_cast<int>(std::min<std::int64_t>(wanted, default_threads()));
}

Napi::Value js_weighted_means(const Napi::CallbackInfo& call) {
  const Napi::Env env = call.Env();
  return guarded(env, [&]() -> Napi::Value {
    const Arguments arguments(call[0], "weightedMeans");
    const std::span<const float> values = arguments.float32_view("values");
    const std::span<const std::uint32_t> weights = arguments.uint32_view("weights");
    const std::span<float> means = arguments.float32_view("means");
    const std::int64_t rows = arguments.integer("rows", 1, std::int64_t{1} << 31);
    const auto pairs = static_cast<std::int64_t>(weights.size()) / rows;
    const auto columns = static_cast<std::int64_t>(means.size()) / rows;
    const auto count = static_cast<std::int64_t>(values.size());
    // By division: a product of the two could be more than 64 bits hold.
    const bool fits = pairs > 0 && pairs * rows == static_cast<std::int64_t>(weights.size()) &&
                      columns * rows == static_cast<std::int64_t>(means.size()) &&
                      count % pairs == 0 && count / pairs == columns;
    if (!fits) {
      throw Error(ErrorCode::INVALID_ARGUMENT,
                  "weightedMeans: values must be [pairs, columns], weights [rows, pairs] and means "
                  "[rows, columns].");
    }
    const Context context = make_cpu_context(threads_for(rows * count), default_isa());
    weighted_means(context, {values.data(), pairs, columns, weights.data(), rows, means.data()});
    return env.Undefined();
  });
}

}  // namespace

void register_weighted_means(Napi::Env env, Napi::Object exports) {
  exports.Set("weightedMeans", Napi::Function::New(env, js_weighted_means, "weightedMeans"));
}

}  // namespace headspark::bindings
