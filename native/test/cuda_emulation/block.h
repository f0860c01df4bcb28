// One running block of an emulated launch: its threads as fibers, what they wait for, and its
// shared memory. Everything a kernel does wrong ends the launch with one sentence.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <source_location>
#include <string>
#include <vector>

#include "cuda/launch_shape.h"
#include "cuda_emulation/fiber.h"
#include "cuda_emulation/shared_shadow.h"

namespace headspark::cuda_emulation {

constexpr int kWarpLanes = 32;

/// In which order blocks, and threads between two meetings, take their turns. Kernels must give the
/// same bits under every one.
enum class Schedule { ascending, descending, shuffled };

void set_schedule(Schedule schedule);
Schedule schedule();

/// Runs `body` once per thread of the grid; Error(DEVICE) with what a thread did wrong. `kernel`
/// tells launches apart.
void run_grid(const cuda::LaunchShape& shape, const std::function<void()>& body,
              const void* kernel = nullptr);

/// Is told what runs: access_counts.h. `caller` is where in the kernel's code it was asked for.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void launch_begins(const void* kernel, const cuda::LaunchShape& shape) = 0;
  virtual void launch_ends() = 0;
  virtual void block_begins(const unsigned char* shared) = 0;
  virtual void block_ends() = 0;
  virtual void block_met() = 0;
  virtual void warp_met(int warp) = 0;
  /// Its lanes met where they see each other's memory as well: sync_warp.
  virtual void warp_synced(int) {}
  virtual void product() = 0;
  /// A lane names its row of matrices, or copies past the registers.
  virtual void matrix_row(int thread, std::size_t offset, const void* caller) = 0;
  virtual void copy(int thread, std::size_t offset, const void* source, std::size_t bytes,
                    const void* caller) = 0;
  /// Any access of a running kernel, in builds that announce them (traced/traced_access.cc).
  virtual void access(int thread, const void* address, std::size_t bytes, bool write,
                      const void* caller) = 0;
  /// A read past the coherent caches; announced as an access as well.
  virtual void constant_read(int, const void*, std::size_t, const void*) {}
};

/// Of all launches from now on; null: none.
void set_observer(Observer* observer);
Observer* observer();

/// A copy that cp.async has begun: it happens when its group is waited for, the latest moment that
/// a device may choose; until then no thread may use the bytes, since it may choose an earlier one.
struct PendingCopy {
  std::size_t offset = 0;  // into shared memory
  const void* source = nullptr;
  std::size_t bytes = 0;
  std::size_t valid_bytes = 0;  // the rest becomes zero
};

class Block {
 public:
  using Where = std::source_location;

  Block(const cuda::LaunchShape& shape, const std::function<void()>& body);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  void run(cuda::Position3 index);

  /// The block whose thread is running; Error outside a kernel.
  static Block& current();
  static bool runs();

  int thread() const { return running_; }
  cuda::Position3 index() const { return index_; }
  const cuda::LaunchShape& shape() const { return shape_; }

  void sync_threads(const Where& where);

  /// The lanes of a warp put `bytes` at `in`; when all 32 have come, `combine` fills every lane's
  /// out from all ins (each kSlotBytes apart), and each gets its own.
  static constexpr std::size_t kSlotBytes = 64;
  using Combine = void (*)(const unsigned char* in, unsigned char* out);
  struct Exchange {
    const char* name = "";
    Combine combine = nullptr;
    const void* in = nullptr;
    std::size_t in_bytes = 0;
    void* out = nullptr;
    std::size_t out_bytes = 0;
    bool reads_shared = false;  ///< `in` lies in shared memory
  };
  void exchange(const Exchange& exchange, const Where& where);
  void sync_warp(const Where& where);

  unsigned char* shared() { return shared_.get(); }
  std::size_t shared_bytes() const { return static_cast<std::size_t>(shape_.shared_bytes); }
  void check_shared(std::size_t offset, std::size_t bytes, bool write, const Where& where);
  /// Of an addition that others may do at once.
  void check_shared_addition(std::size_t offset, std::size_t bytes, const Where& where);

  void begin_copy(const PendingCopy& copy, const Where& where);
  void commit_copies();
  void note_constant(const void* address, std::size_t bytes) const;
  void wait_copies(std::size_t groups_left);

  [[noreturn]] void fail(const std::string& problem, const Where& where) const;

 private:
  enum class State { ready, at_barrier, in_warp, finished };
  struct Thread {
    std::unique_ptr<Fiber> fiber;
    State state = State::ready;
    Where where;
    std::vector<PendingCopy> copies;  // under way, oldest first: committed ones, then the others
    std::vector<std::size_t> groups;  // how many each committed group has
    Block* block = nullptr;
  };
  struct Warp {
    int arrived = 0;
    int finished = 0;
    Combine combine = nullptr;
    const char* name = "";
    Where where;
    alignas(16) unsigned char in[kWarpLanes * kSlotBytes];
    alignas(16) unsigned char out[kWarpLanes * kSlotBytes];
  };

  static void enter(void* thread);
  void start(cuda::Position3 index);
  void schedule_round();
  void wait(State state, const Where& where);
  void release(int first, int count);
  void check_exit();
  void check_deadlock() const;
  std::string describe(int thread) const;
  void check_shared_bound(std::size_t end, const Where& where) const;
  void check(const SharedShadow::Finding& finding, const char* what, std::size_t offset,
             const Where& where) const;

  cuda::LaunchShape shape_;
  const std::function<void()>& body_;
  cuda::Position3 index_;
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  std::vector<int> order_;
  std::unique_ptr<unsigned char, void (*)(void*)> shared_;
  SharedShadow shadow_;
  int running_ = 0;
  int at_barrier_ = 0;
  int finished_ = 0;
  std::exception_ptr error_;
  Where barrier_;  // of the first that waits there, while one does
};

}  // namespace headspark::cuda_emulation
