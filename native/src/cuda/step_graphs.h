// Work that repeats, as CUDA graphs: the first time under a key it runs op by op (which fills
// caches of weights, scratch memory and the library's choices), the second time it is recorded, and
// from then on one call queues all of it.
#pragma once

#include <list>
#include <memory>

#include "cuda/device.h"
#include "headspark/repeated_work.h"

namespace headspark::cuda {

/// The graphs of one kind of work on one device. Where the driver refuses to record or to launch a
/// graph, work runs op by op from then on, and one line on stderr says so.
class StepGraphs final : public RepeatedWork {
 public:
  static constexpr std::size_t kMostGraphs = 8;

  explicit StepGraphs(std::shared_ptr<Device> device) : device_(std::move(device)) {}
  ~StepGraphs() override;
  StepGraphs(const StepGraphs&) = delete;
  StepGraphs& operator=(const StepGraphs&) = delete;

  void run(const RepeatKey& key, const std::function<void()>& work) override;
  RepeatCounts counts() const override { return counts_; }

 private:
  struct Entry {
    RepeatKey key;
    Graph graph = nullptr;  ///< null: the key was seen once
  };
  using Entries = std::list<Entry>;

  void run_plain(const std::function<void()>& work);
  void record(Entry& entry, const std::function<void()>& work);
  bool launch(const Entry& entry);
  void refuse(const char* reason);
  Entries::iterator drop(Entries::iterator entry);
  void drop_stale();
  void drop_oldest();

  std::shared_ptr<Device> device_;
  Entries entries_;  // used last first
  std::uint64_t epoch_ = 0;
  bool refused_ = false;
  RepeatCounts counts_;
};

}  // namespace headspark::cuda
