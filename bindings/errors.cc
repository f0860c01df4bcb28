// C++ exceptions to JavaScript errors.
#include "errors.h"

#include <new>

namespace headspark::bindings {
namespace {

Failure named(ErrorCode code, const char* what, const char* fallback) {
  const bool empty = what == nullptr || *what == '\0';
  return {code, empty ? fallback : what};
}

}  // namespace

Failure describe(std::exception_ptr thrown) noexcept {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return named(error.code(), error.what(), "The native core failed without a message.");
  } catch (const std::bad_alloc&) {
    return {ErrorCode::OUT_OF_MEMORY,
            "Memory ran out; use a smaller batch, shorter pairs or a smaller model."};
  } catch (const std::exception& error) {
    return named(ErrorCode::INTERNAL, error.what(), "The native core failed without a message.");
  } catch (...) {
    return {ErrorCode::INTERNAL, "The native core threw something that is not an exception."};
  }
}

Napi::Error to_js_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, failure.message);
  error.Set("code", Napi::String::New(env, error_code_name(failure.code)));
  return error;
}

}  // namespace headspark::bindings
