// C++ exceptions to JavaScript errors: `code` is the ErrorCode's name, the message is never empty.
#pragma once

#include <exception>
#include <string>
#include <utility>

#include "headspark/error.h"
#include "napi.h"

namespace headspark::bindings {

// What an exception tells a caller, copied out of it so that it can cross threads.
struct Failure {
  ErrorCode code = ErrorCode::INTERNAL;
  std::string message;
};

// Any thrown object, also one that is not a std::exception or has an empty what().
Failure describe(std::exception_ptr thrown) noexcept;

// A JavaScript Error with `code`. JavaScript thread only.
Napi::Error to_js_error(Napi::Env env, const Failure& failure);

// Runs the body of a synchronous function; whatever C++ throws becomes a coded JavaScript error.
template <typename Body>
auto guarded(Napi::Env env, Body&& body) -> decltype(body()) {
  try {
    return std::forward<Body>(body)();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_js_error(env, describe(std::current_exception()));
  }
}

}  // namespace headspark::bindings
