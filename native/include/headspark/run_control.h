// How a long computation is stopped and how it tells how far it is. The core calls check() between
// steps (at least every ~50 ms of work) and report() as often as it likes: the hook's owner thins.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "headspark/error.h"

namespace headspark {

struct Progress {
  std::uint64_t done = 0;   // in units of the phase: pairs, heads, tokens
  std::uint64_t total = 0;  // 0: not known
  std::string phase;        // one word or two, for people: "forward", "attribution"
};

// A default-constructed RunControl never stops and swallows progress. Hooks may be called from
// several threads of the computation at once, so they must be thread-safe and must not throw.
struct RunControl {
  std::function<bool()> stop_hook;
  std::function<void(const Progress&)> progress_hook;

  bool should_stop() const { return stop_hook && stop_hook(); }

  void report(const Progress& progress) const {
    if (progress_hook) progress_hook(progress);
  }

  // Throws Error(CANCELLED) when a stop was asked for.
  void check() const {
    if (should_stop()) throw Error(ErrorCode::CANCELLED, "The run was cancelled.");
  }
};

}  // namespace headspark
