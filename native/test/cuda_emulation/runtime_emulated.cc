// The twin of src/cuda/runtime_cudart.cc: one device whose memory is the host's (so that
// AddressSanitizer watches it) and whose kernels run when they are launched. A captured stream
// keeps them instead, and refuses what a driver refuses then.
#include "cuda_emulation/runtime_emulated.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address), (void)(size))
#endif

namespace headspark::cuda {
namespace {

std::mutex mutex;
std::map<void*, std::int64_t> allocated;
std::int64_t in_use = 0;
std::int64_t memory_bytes = std::int64_t{4} << 30;

/// A copy from the host that was queued: it happens when something else is queued or waited for, as
/// late as a device may without being seen.
struct LateCopy {
  void* device = nullptr;
  const void* host = nullptr;
  std::int64_t bytes = 0;
};

using Work = std::vector<std::function<void()>>;

struct EmulatedStream {
  std::vector<LateCopy> copies;
  bool captured = false;
  bool invalid = false;  // the capture, by something that it refuses
  Work recorded;
  // Streams that wait for this one and that it does not wait for yet, and those of them that it
  // does. What all of them do meanwhile has no order: it is kept, and then done in turns.
  std::vector<EmulatedStream*> branches;
  std::vector<EmulatedStream*> joined;
  EmulatedStream* origin = nullptr;  // of a branch
  Work kept;
};

struct EmulatedGraph {
  Work work;
};

thread_local EmulatedStream* captured_here = nullptr;
std::atomic<bool> captures_refused = false;
std::atomic<bool> pinned_refused = false;
std::atomic<std::int64_t> graphs = 0;
std::atomic<std::int64_t> waits = 0;
std::atomic<std::int64_t> pieces = 0;

EmulatedStream* native(Stream stream) {
  return reinterpret_cast<EmulatedStream*>(stream);
}

void copy_now(Stream stream) {
  if (stream == nullptr) return;
  for (const LateCopy& copy : std::exchange(native(stream)->copies, {})) {
    std::memcpy(copy.device, copy.host, static_cast<std::size_t>(copy.bytes));
  }
}

[[noreturn]] void throw_refused(const std::string& what) {
  throw Error(ErrorCode::DEVICE,
              "The emulated device does not " + what + " while a stream is captured.");
}

/// What a driver refuses to a thread that captures a stream.
void refuse_captured(const char* what) {
  if (captured_here == nullptr) return;
  captured_here->invalid = true;
  throw_refused(what);
}

void emit(EmulatedStream& stream, std::function<void()> work) {
  if (stream.captured) {
    stream.recorded.push_back(std::move(work));
  } else {
    ++pieces;
    work();
  }
}

/// What the stream and those that it waits for have kept: the last branch first, one piece of work
/// of each in turn.
void do_kept(EmulatedStream& stream) {
  std::vector<Work> all;
  for (EmulatedStream* const branch : std::exchange(stream.joined, {})) {
    all.insert(all.begin(), std::exchange(branch->kept, {}));
    branch->origin = nullptr;
  }
  all.push_back(std::exchange(stream.kept, {}));
  std::size_t longest = 0;
  for (const Work& works : all) longest = std::max(longest, works.size());
  for (std::size_t i = 0; i < longest; ++i) {
    for (const Work& works : all) {
      if (i < works.size()) emit(stream, works[i]);
    }
  }
}

/// Graphs have their place before or after branches.
void refuse_branch(Stream stream) {
  const EmulatedStream& own = *native(stream);
  if (own.origin == nullptr && own.branches.empty()) return;
  throw Error(ErrorCode::DEVICE, "The emulated device branches for kernels alone.");
}

void check_device(int device) {
  if (device == 0) return;
  throw Error(ErrorCode::DEVICE, "There is no emulated device " + std::to_string(device) + ".");
}

}  // namespace

int device_count(std::string&) {
  return 1;
}

DeviceProperties device_properties(int device) {
  check_device(device);
  return {"emulated CUDA device",
          8,
          0,
          4,
          kLargestShared,
          static_cast<std::uint64_t>(memory_info().total_bytes)};
}

bool is_hardware() {
  return false;
}

int driver_version() {
  return 13000;
}

int runtime_version() {
  return driver_version();
}

void use_device(int device) {
  check_device(device);
}

MemoryInfo memory_info() {
  const std::lock_guard lock(mutex);
  return {static_cast<std::uint64_t>(memory_bytes - in_use),
          static_cast<std::uint64_t>(memory_bytes)};
}

void set_emulated_memory(std::int64_t bytes) {
  const std::lock_guard lock(mutex);
  memory_bytes = bytes;
}

std::int64_t emulated_bytes_in_use() {
  const std::lock_guard lock(mutex);
  return in_use;
}

bool is_emulated_memory(std::uintptr_t address) {
  const std::lock_guard lock(mutex);
  auto found = allocated.upper_bound(reinterpret_cast<void*>(address));
  if (found == allocated.begin()) return false;
  --found;
  return address - reinterpret_cast<std::uintptr_t>(found->first) <
         static_cast<std::uintptr_t>(found->second);
}

void* try_allocate(std::int64_t bytes) {
  refuse_captured("allocate");
  const std::lock_guard lock(mutex);
  if (bytes < 0 || bytes > memory_bytes - in_use) return nullptr;
  void* memory = nullptr;
  const auto size = static_cast<std::size_t>(bytes > 0 ? bytes : 1);
  if (posix_memalign(&memory, 256, size) != 0) return nullptr;
  allocated[memory] = bytes;
  in_use += bytes;
  return memory;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  if (captured_here != nullptr) captured_here->invalid = true;
  const std::lock_guard lock(mutex);
  const auto found = allocated.find(memory);
  if (found == allocated.end()) std::abort();  // released twice, or never allocated
  in_use -= found->second;
  allocated.erase(found);
  std::free(memory);
}

void mark_used(void* memory, std::int64_t bytes) noexcept {
  ASAN_UNPOISON_MEMORY_REGION(memory, static_cast<std::size_t>(bytes));
  std::memset(memory, 0xff, static_cast<std::size_t>(bytes));  // NaN: nobody may count on zeros
}

void mark_free(void* memory, std::int64_t bytes) noexcept {
  ASAN_POISON_MEMORY_REGION(memory, static_cast<std::size_t>(bytes));
}

void* try_allocate_pinned(std::int64_t bytes) {
  refuse_captured("pin memory");
  if (pinned_refused) return nullptr;
  return std::malloc(static_cast<std::size_t>(bytes > 0 ? bytes : 1));
}

void release_pinned(void* memory) noexcept {
  std::free(memory);
}

Stream create_stream() {
  return reinterpret_cast<Stream>(new EmulatedStream());
}

void destroy_stream(Stream stream) noexcept {
  delete native(stream);
}

void synchronize(Stream stream) {
  refuse_captured("wait");
  if (stream != nullptr) do_kept(*native(stream));
  copy_now(stream);
  ++waits;
}

void settle(Stream) {}  // work is done when its call returns

void queue(Stream stream, std::function<void()> work) {
  if (stream == nullptr) {
    refuse_captured("queue work on its default stream");
    ++pieces;
    return work();
  }
  EmulatedStream& own = *native(stream);
  if (!own.joined.empty()) do_kept(own);
  if (own.origin != nullptr || !own.branches.empty()) {
    own.kept.push_back(std::move(work));
    return;
  }
  if (!own.captured) copy_now(stream);
  emit(own, std::move(work));
}

Event create_event() {
  return reinterpret_cast<Event>(new char);
}

void destroy_event(Event event) noexcept {
  delete reinterpret_cast<char*>(event);
}

void wait_for(Stream later, Stream earlier, Event) {
  EmulatedStream& waits = *native(later);
  EmulatedStream& other = *native(earlier);
  const auto branch = std::find(waits.branches.begin(), waits.branches.end(), &other);
  if (branch != waits.branches.end()) {
    waits.joined.push_back(&other);
    waits.branches.erase(branch);
    if (waits.branches.empty()) do_kept(waits);
    return;
  }
  const bool nested = other.origin != nullptr || !other.joined.empty();
  if (nested || waits.origin != nullptr || !waits.branches.empty()) {
    throw Error(ErrorCode::DEVICE, "The emulated device knows branches of one stream alone.");
  }
  if (!other.captured) copy_now(earlier);
  copy_now(later);
  waits.origin = &other;
  other.branches.push_back(&waits);
}

std::int64_t emulated_work() {
  return pieces;
}

void refuse_captures(bool refused) {
  captures_refused = refused;
}

void refuse_pinned(bool refused) {
  pinned_refused = refused;
}

std::int64_t emulated_graphs() {
  return graphs;
}

std::int64_t emulated_waits() {
  return waits;
}

void begin_capture(Stream stream) {
  if (captures_refused) throw Error(ErrorCode::DEVICE, "The emulated device captures nothing.");
  refuse_captured("capture");
  if (stream == nullptr) throw Error(ErrorCode::DEVICE, "The default stream cannot be captured.");
  captured_here = native(stream);
  copy_now(stream);
  *captured_here = {};
  captured_here->captured = true;
}

Graph end_capture(Stream stream) {
  if (captured_here == nullptr || captured_here != native(stream)) {
    throw Error(ErrorCode::DEVICE, "This thread does not capture the stream.");
  }
  EmulatedStream ended;
  std::swap(ended, *captured_here);
  captured_here = nullptr;
  if (!ended.branches.empty()) ended.invalid = true;  // nobody waits for them
  for (EmulatedStream* const branch : ended.branches) *branch = {};
  if (ended.invalid) throw Error(ErrorCode::DEVICE, "The capture is not valid.");
  ++graphs;
  return reinterpret_cast<Graph>(new EmulatedGraph{std::move(ended.recorded)});
}

void abandon_capture(Stream stream) noexcept {
  if (captured_here == nullptr || captured_here != native(stream)) return;
  for (EmulatedStream* const branch : captured_here->branches) *branch = {};
  *captured_here = {};
  captured_here = nullptr;
}

void launch_graph(Stream stream, Graph graph) {
  refuse_captured("launch a graph");
  refuse_branch(stream);
  copy_now(stream);
  for (const auto& work : reinterpret_cast<EmulatedGraph*>(graph)->work) {
    ++pieces;
    work();
  }
}

void destroy_graph(Graph graph) noexcept {
  --graphs;
  delete reinterpret_cast<EmulatedGraph*>(graph);
}

// A recorded copy would read what stands there when the graph is launched.
void copy_to_device(Stream stream, void* device, const void* host, std::int64_t bytes) {
  refuse_captured("copy from the host");
  if (bytes <= 0) return;
  if (stream == nullptr) {
    std::memcpy(device, host, static_cast<std::size_t>(bytes));
  } else {
    native(stream)->copies.push_back({device, host, bytes});
  }
}

void copy_to_host(Stream stream, void* host, const void* device, std::int64_t bytes) {
  refuse_captured("copy to the host");
  if (stream != nullptr) do_kept(*native(stream));
  copy_now(stream);
  if (bytes > 0) std::memcpy(host, device, static_cast<std::size_t>(bytes));
}

void copy_on_device(Stream stream, void* to, const void* from, std::int64_t bytes) {
  if (bytes <= 0) return;
  queue(stream, [=] { std::memcpy(to, from, static_cast<std::size_t>(bytes)); });
}

void zero(Stream stream, void* device, std::int64_t bytes) {
  if (bytes <= 0) return;
  queue(stream, [=] { std::memset(device, 0, static_cast<std::size_t>(bytes)); });
}

void launch_kernel(Stream, const LaunchShape&, const void*, const void*) {
  throw Error(ErrorCode::INTERNAL, "The emulated device launches kernels by launch() alone.");
}

}  // namespace headspark::cuda
