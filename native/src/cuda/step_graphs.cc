// Keys that were seen once are remembered too, in the same list; however many there are, they take
// no graph's place.
#include "cuda/step_graphs.h"

#include <algorithm>
#include <cstdio>
#include <mutex>

#include "headspark/error.h"

namespace headspark::cuda {
namespace {

constexpr std::size_t kMostKeys = 64;  // without a graph

}  // namespace

StepGraphs::~StepGraphs() {
  for (auto entry = entries_.begin(); entry != entries_.end();) entry = drop(entry);
}

void StepGraphs::run(const RepeatKey& key, const std::function<void()>& work) {
  if (refused_) return run_plain(work);
  drop_stale();
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  if (found == entries_.end()) {
    run_plain(work);
    drop_stale();  // what ran may have moved the scratch memory of all others
    entries_.push_front({key});
  } else {
    entries_.splice(entries_.begin(), entries_, found);
    Entry& entry = entries_.front();
    if (entry.graph == nullptr) record(entry, work);
    if (entry.graph == nullptr || !launch(entry)) run_plain(work);
  }
  drop_oldest();
}

void StepGraphs::run_plain(const std::function<void()>& work) {
  ++counts_.plain;
  work();
}

// Leaves the entry without a graph where that is not to be had: running the work op by op then says
// whether the work itself is at fault.
void StepGraphs::record(Entry& entry, const std::function<void()>& work) {
  try {
    device_->begin_record();
    work();
    entry.graph = device_->end_record();
    ++counts_.recorded;
  } catch (const Error& error) {
    device_->abandon_record();
    if (error.code() == ErrorCode::CANCELLED) throw;
    refuse(error.what());
  } catch (...) {
    device_->abandon_record();
    throw;
  }
}

bool StepGraphs::launch(const Entry& entry) {
  try {
    launch_graph(device_->stream(), entry.graph);
  } catch (const Error& error) {
    refuse(error.what());
    return false;
  }
  ++counts_.repeated;
  return true;
}

void StepGraphs::refuse(const char* reason) {
  static std::once_flag said;
  refused_ = true;
  std::call_once(said, [&] {
    std::fprintf(stderr,
                 "headspark: %s decodes kernel by kernel, more slowly, since recording its steps "
                 "failed: %s\n",
                 device_->name().c_str(), reason);
  });
}

StepGraphs::Entries::iterator StepGraphs::drop(Entries::iterator entry) {
  if (entry->graph != nullptr) {
    destroy_graph(entry->graph);
    ++counts_.dropped;
  }
  return entries_.erase(entry);
}

void StepGraphs::drop_stale() {
  device_->enter();
  const std::uint64_t now = device_->epoch();
  if (now == epoch_) return;
  for (auto entry = entries_.begin(); entry != entries_.end();) entry = drop(entry);
  epoch_ = now;
}

void StepGraphs::drop_oldest() {
  std::size_t graphs = 0;
  std::size_t keys = 0;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const bool kept = entry->graph != nullptr ? ++graphs <= kMostGraphs : ++keys <= kMostKeys;
    entry = kept ? std::next(entry) : drop(entry);
  }
}

}  // namespace headspark::cuda
