// The scheduler of an emulated block.
#include "cuda_emulation/block.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <numeric>

#include "cuda_emulation/tensor_core.h"
#include "headspark/error.h"

namespace headspark::cuda_emulation {
namespace {

Schedule chosen_schedule = Schedule::ascending;
Observer* chosen_observer = nullptr;
// In a program of its own: its address is known without a call.
[[gnu::tls_model("initial-exec")]] thread_local Block* current_block = nullptr;

std::string at(const std::source_location& where) {
  std::string file = where.file_name();
  file = file.substr(file.find_last_of('/') + 1);
  return file + ":" + std::to_string(where.line());
}

std::vector<int> turns(int count) {
  std::vector<int> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  if (chosen_schedule == Schedule::descending) std::reverse(order.begin(), order.end());
  if (chosen_schedule == Schedule::shuffled) {
    std::uint64_t state = 0x9e3779b97f4a7c15ull;
    for (std::size_t i = order.size(); i > 1; --i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      std::swap(order[i - 1], order[(state >> 33) % i]);
    }
  }
  return order;
}

// Stacks are dear to make and cheap to keep.
std::vector<std::unique_ptr<Fiber>>& spare_fibers() {
  thread_local std::vector<std::unique_ptr<Fiber>> spare;
  return spare;
}

std::unique_ptr<Fiber> take_fiber() {
  if (spare_fibers().empty()) return std::make_unique<Fiber>();
  std::unique_ptr<Fiber> fiber = std::move(spare_fibers().back());
  spare_fibers().pop_back();
  return fiber;
}

template <typename Word>
[[gnu::no_sanitize("address", "undefined")]] inline void copy_words(unsigned char*& to,
                                                                    const unsigned char*& from,
                                                                    std::size_t& bytes) {
  for (; bytes >= sizeof(Word); bytes -= sizeof(Word)) {
    __builtin_memcpy(to, from, sizeof(Word));
    to += sizeof(Word);
    from += sizeof(Word);
  }
}

// The few bytes of a register: not worth AddressSanitizer's look at them.
[[gnu::no_sanitize("address", "undefined")]] void copy_registers(void* to, const void* from,
                                                                 std::size_t bytes) {
  auto* out = static_cast<unsigned char*>(to);
  const auto* in = static_cast<const unsigned char*>(from);
  copy_words<std::uint64_t>(out, in, bytes);
  copy_words<std::uint32_t>(out, in, bytes);
  copy_words<unsigned char>(out, in, bytes);
}

unsigned char* allocate_shared(int bytes) {
  // Exactly as large as asked for, so that AddressSanitizer sees what the checks here do not.
  void* memory = nullptr;
  if (posix_memalign(&memory, 128, static_cast<std::size_t>(std::max(bytes, 1))) != 0) {
    throw std::bad_alloc();
  }
  return static_cast<unsigned char*>(memory);
}

}  // namespace

void set_schedule(Schedule schedule) {
  chosen_schedule = schedule;
}

Schedule schedule() {
  return chosen_schedule;
}

void set_observer(Observer* observer) {
  chosen_observer = observer;
}

Observer* observer() {
  return chosen_observer;
}

Block::Block(const cuda::LaunchShape& shape, const std::function<void()>& body)
    : shape_(shape),
      body_(body),
      threads_(static_cast<std::size_t>(shape.threads)),
      warps_(static_cast<std::size_t>(shape.threads / kWarpLanes)),
      order_(turns(shape.threads)),
      shared_(allocate_shared(shape.shared_bytes), std::free),
      shadow_(static_cast<std::size_t>(shape.shared_bytes), shape.threads / kWarpLanes) {
  for (Thread& thread : threads_) {
    thread.fiber = take_fiber();
    thread.block = this;
  }
}

Block::~Block() {
  for (Thread& thread : threads_) spare_fibers().push_back(std::move(thread.fiber));
}

Block& Block::current() {
  if (current_block == nullptr) {
    throw Error(ErrorCode::INTERNAL, "A device function was called outside a kernel.");
  }
  return *current_block;
}

bool Block::runs() {
  return current_block != nullptr;
}

std::string Block::describe(int thread) const {
  return "thread " + std::to_string(thread) + " of block (" + std::to_string(index_.x) + ", " +
         std::to_string(index_.y) + ", " + std::to_string(index_.z) + ")";
}

void Block::fail(const std::string& problem, const Where& where) const {
  throw Error(ErrorCode::DEVICE,
              "Emulated kernel: " + describe(running_) + " " + problem + " (" + at(where) + ").");
}

void Block::enter(void* argument) {
  Thread& thread = *static_cast<Thread*>(argument);
  Block& block = *thread.block;
  try {
    block.body_();
    block.check_exit();
  } catch (...) {
    block.error_ = std::current_exception();
  }
  thread.state = State::finished;
  ++block.finished_;
  ++block.warps_[static_cast<std::size_t>(block.running_ / kWarpLanes)].finished;
}

void Block::start(cuda::Position3 index) {
  index_ = index;
  at_barrier_ = 0;
  finished_ = 0;
  std::memset(shared_.get(), 0xff, shared_bytes());  // NaN: what was never written shows
  shadow_.reset();
  for (Warp& warp : warps_) warp.arrived = warp.finished = 0;
  for (Thread& thread : threads_) {
    thread.state = State::ready;
    thread.copies.clear();
    thread.groups.clear();
    thread.fiber->start(&Block::enter, &thread);
  }
}

void Block::run(cuda::Position3 index) {
  start(index);
  if (chosen_observer != nullptr) chosen_observer->block_begins(shared_.get());
  Block* const outer = current_block;
  current_block = this;
  while (!error_ && finished_ < shape_.threads) schedule_round();
  current_block = outer;
  if (chosen_observer != nullptr) chosen_observer->block_ends();
  if (error_) std::rethrow_exception(error_);
}

void Block::schedule_round() {
  bool moved = false;
  for (const int thread : order_) {
    Thread& next = threads_[static_cast<std::size_t>(thread)];
    if (next.state != State::ready) continue;
    moved = true;
    running_ = thread;
    next.fiber->resume();
    if (error_) return;
  }
  if (!moved) {
    try {
      check_deadlock();
    } catch (...) {
      error_ = std::current_exception();
    }
  }
}

// Every thread waits or has ended, and none can go on.
void Block::check_deadlock() const {
  std::string waits;
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    const Thread& thread = threads_[i];
    if (thread.state != State::at_barrier && thread.state != State::in_warp) continue;
    const char* what = thread.state == State::at_barrier ? "sync_threads" : warps_[i / 32].name;
    waits = describe(static_cast<int>(i)) + " waits in " + what + " (" + at(thread.where) + ")";
    break;
  }
  throw Error(ErrorCode::DEVICE,
              "Emulated kernel: deadlock: " + waits + " for threads that wait elsewhere.");
}

// A thread that ends while others wait for it would leave them waiting for ever.
void Block::check_exit() {
  const int first = running_ / kWarpLanes * kWarpLanes;
  const Warp& warp = warps_[static_cast<std::size_t>(running_ / kWarpLanes)];
  const bool others_wait = at_barrier_ > 0 || warp.arrived > 0;
  for (int i = 0; others_wait && i < shape_.threads; ++i) {
    const Thread& thread = threads_[static_cast<std::size_t>(i)];
    if (thread.state == State::at_barrier ||
        (thread.state == State::in_warp && i / 32 * 32 == first)) {
      fail("ends while " + describe(i) + " waits for it", thread.where);
    }
  }
  const Thread& thread = threads_[static_cast<std::size_t>(running_)];
  if (!thread.copies.empty()) {
    fail("ends with asynchronous copies under way that it never waited for", Where::current());
  }
}

void Block::wait(State state, const Where& where) {
  Thread& thread = threads_[static_cast<std::size_t>(running_)];
  thread.state = state;
  thread.where = where;
  thread.fiber->yield();
}

void Block::release(int first, int count) {
  for (int i = first; i < first + count; ++i)
    threads_[static_cast<std::size_t>(i)].state = State::ready;
}

void Block::sync_threads(const Where& where) {
  if (finished_ > 0) fail("waits for threads that have ended", where);
  // All that wait stand where the first of them does: each was compared with it when it came.
  if (at_barrier_ == 0) barrier_ = where;
  if (barrier_.line() != where.line()) fail("meets others that stand at " + at(barrier_), where);
  if (++at_barrier_ < shape_.threads) return wait(State::at_barrier, where);
  at_barrier_ = 0;
  shadow_.barrier();
  if (chosen_observer != nullptr) chosen_observer->block_met();
  release(0, shape_.threads);
}

void Block::exchange(const Exchange& e, const Where& where) {
  const int lane = running_ % kWarpLanes;
  const int first = running_ - lane;
  Warp& warp = warps_[static_cast<std::size_t>(running_ / kWarpLanes)];
  if (warp.finished > 0) {
    fail(std::string("calls ") + e.name + " after a lane of its warp has ended", where);
  }
  if (warp.arrived > 0 && warp.combine != e.combine) {
    fail(std::string("calls ") + e.name + " where its warp calls " + warp.name, where);
  }
  // A lane in another branch calls another instruction, though of the same name.
  if (warp.arrived > 0 && warp.where.line() != where.line()) {
    fail(std::string("calls ") + e.name + " here and its warp at " + at(warp.where), where);
  }
  warp.where = where;
  warp.combine = e.combine;
  warp.name = e.name;
  const auto slot = static_cast<std::size_t>(lane) * kSlotBytes;
  copy_registers(warp.in + slot, e.in, e.in_bytes);
  if (chosen_observer != nullptr && e.reads_shared) {
    const auto offset = static_cast<const unsigned char*>(e.in) - shared_.get();
    chosen_observer->matrix_row(running_, static_cast<std::size_t>(offset),
                                __builtin_return_address(0));
  }
  if (++warp.arrived < kWarpLanes) {
    wait(State::in_warp, where);
  } else {
    if (chosen_observer != nullptr) {
      if (e.combine == &multiply_16x8x16) chosen_observer->product();
      chosen_observer->warp_met(first / kWarpLanes);
    }
    e.combine(warp.in, warp.out);
    warp.arrived = 0;
    release(first, kWarpLanes);
  }
  copy_registers(e.out, warp.out + slot, e.out_bytes);
}

void Block::sync_warp(const Where& where) {
  const auto combine = [](const unsigned char*, unsigned char*) {
    Block& block = current();
    const int warp = block.running_ / kWarpLanes;
    block.shadow_.warp_barrier(warp);
    if (chosen_observer != nullptr) chosen_observer->warp_synced(warp);
  };
  exchange({"sync_warp", combine, nullptr, 0, nullptr, 0}, where);
}

void Block::check_shared_bound(std::size_t end, const Where& where) const {
  if (end <= shared_bytes()) return;
  fail("reaches byte " + std::to_string(end) + " of " + std::to_string(shared_bytes()) +
           " bytes of shared memory",
       where);
}

void Block::check_shared_addition(std::size_t offset, std::size_t bytes, const Where& where) {
  check_shared_bound(offset + bytes, where);
  check(shadow_.add(offset, bytes, running_), "adds to", offset, where);
}

void Block::check_shared(std::size_t offset, std::size_t bytes, bool write, const Where& where) {
  check_shared_bound(offset + bytes, where);
  check(shadow_.access(offset, bytes, running_, write), write ? "writes" : "reads", offset, where);
}

void Block::check(const SharedShadow::Finding& finding, const char* what, std::size_t offset,
                  const Where& where) const {
  if (finding.problem == SharedShadow::Problem::none) return;  // nearly always
  const std::string use = std::string(what) + " shared byte " + std::to_string(offset);
  switch (finding.problem) {
    case SharedShadow::Problem::none:
      return;
    case SharedShadow::Problem::race:
      fail(use + " without a barrier since thread " + std::to_string(finding.thread) + " used it",
           where);
    case SharedShadow::Problem::under_way:
      fail(use + ", to which a copy of thread " + std::to_string(finding.thread) + " is under way",
           where);
    case SharedShadow::Problem::unwritten:
      fail(use + ", which nobody has written", where);
  }
}

void Block::begin_copy(const PendingCopy& copy, const Where& where) {
  if (copy.offset + copy.bytes > shared_bytes()) {
    fail("copies to byte " + std::to_string(copy.offset + copy.bytes) + " of " +
             std::to_string(shared_bytes()) + " bytes of shared memory",
         where);
  }
  if (copy.valid_bytes > copy.bytes) {
    fail("copies " + std::to_string(copy.valid_bytes) + " bytes as " + std::to_string(copy.bytes),
         where);
  }
  if (copy.offset % copy.bytes != 0 ||
      reinterpret_cast<std::uintptr_t>(copy.source) % copy.bytes != 0) {
    fail("copies " + std::to_string(copy.bytes) + " bytes that are not aligned to that", where);
  }
  check(shadow_.begin_copy(copy.offset, copy.bytes, running_), "begins a copy to", copy.offset,
        where);
  if (chosen_observer != nullptr) {
    chosen_observer->copy(running_, copy.offset, copy.source, copy.bytes,
                          __builtin_return_address(0));
  }
  threads_[static_cast<std::size_t>(running_)].copies.push_back(copy);
}

// Not in the header: inlined there, it would name who called the kernel.
void Block::note_constant(const void* address, std::size_t bytes) const {
  if (chosen_observer == nullptr) return;
  chosen_observer->constant_read(running_, address, bytes, __builtin_return_address(0));
}

void Block::commit_copies() {
  Thread& thread = threads_[static_cast<std::size_t>(running_)];
  std::size_t grouped = 0;
  for (const std::size_t count : thread.groups) grouped += count;
  thread.groups.push_back(thread.copies.size() - grouped);
}

void Block::wait_copies(std::size_t groups_left) {
  Thread& thread = threads_[static_cast<std::size_t>(running_)];
  const auto waited = thread.groups.size() - std::min(groups_left, thread.groups.size());
  std::size_t done = 0;
  for (std::size_t group = 0; group < waited; ++group) {
    for (const std::size_t end = done + thread.groups[group]; done < end; ++done) {
      const PendingCopy& copy = thread.copies[done];
      check(shadow_.end_copy(copy.offset, copy.bytes, running_), "ends a copy to", copy.offset,
            Where::current());
      std::memset(shared_.get() + copy.offset, 0, copy.bytes);
      std::memcpy(shared_.get() + copy.offset, copy.source, copy.valid_bytes);
    }
  }
  const auto erase = [](auto& list, std::size_t count) {
    list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(count));
  };
  erase(thread.copies, done);
  erase(thread.groups, waited);
}

void run_grid(const cuda::LaunchShape& shape, const std::function<void()>& body,
              const void* kernel) {
  cuda::check_launch_shape(shape);
  if (chosen_observer != nullptr) chosen_observer->launch_begins(kernel, shape);
  Block block(shape, body);
  const int blocks = shape.grid.x * shape.grid.y * shape.grid.z;
  for (const int i : turns(blocks)) {
    block.run(
        {i % shape.grid.x, i / shape.grid.x % shape.grid.y, i / (shape.grid.x * shape.grid.y)});
  }
  if (chosen_observer != nullptr) chosen_observer->launch_ends();
}

}  // namespace headspark::cuda_emulation
