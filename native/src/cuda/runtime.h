// The few calls of the CUDA runtime that headspark makes. runtime_cudart.cc makes them;
// test/cuda_emulation/runtime_emulated.cc is the twin whose device memory is host memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/launch_shape.h"

namespace headspark::cuda {

struct StreamHandle;
using Stream = StreamHandle*;  ///< a cudaStream_t; null: the default stream
struct EventHandle;
using Event = EventHandle*;  ///< a cudaEvent_t: a moment of a stream
struct GraphHandle;
using Graph = GraphHandle*;  ///< a cudaGraphExec_t: recorded work, ready to be queued

struct DeviceProperties {
  std::string name;
  int compute_major = 0;
  int compute_minor = 0;
  int multiprocessors = 0;
  std::int64_t shared_bytes_per_block = 0;  ///< opt-in maximum
  std::uint64_t memory_total_bytes = 0;
};

struct MemoryInfo {
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
};

// Every call throws Error(DEVICE) with the runtime's words, unless it says otherwise, or
// Error(OUT_OF_MEMORY) where the driver has none for what it keeps itself (a kernel's code, a
// graph).

/// Devices of this machine, or -1 with the driver's words in `problem`. Does not throw.
int device_count(std::string& problem);
DeviceProperties device_properties(int device);
/// False for the emulated twin, which libraries know nothing of.
bool is_hardware();
/// Of the driver, as 1000 * major + 10 * minor; 0: none. Does not throw.
int driver_version();
/// Of the runtime that is linked, as above.
int runtime_version();

/// Makes `device` current for the calling thread.
void use_device(int device);
MemoryInfo memory_info();

/// Aligned to 256 bytes, on the current device; null when the memory does not suffice.
void* try_allocate(std::int64_t bytes);
void release(void* memory) noexcept;
/// The pool tells which bytes of its segments are in use; the emulated device refuses accesses to
/// the others.
void mark_used(void* memory, std::int64_t bytes) noexcept;
void mark_free(void* memory, std::int64_t bytes) noexcept;
/// Page-locked host memory, for copies that overlap with work; null when there is none.
void* try_allocate_pinned(std::int64_t bytes);
void release_pinned(void* memory) noexcept;

Stream create_stream();
void destroy_stream(Stream stream) noexcept;
/// Until all work of the stream is done; errors of its kernels come out here.
void synchronize(Stream stream);

Event create_event();
void destroy_event(Event event) noexcept;
/// What is queued on `later` from now on starts when what was queued on `earlier` is done. `event`
/// may be used again. Where `earlier` is captured, `later` is captured with it, until `earlier` (or
/// a stream that waited for it) waits for `later` in turn.
void wait_for(Stream later, Stream earlier, Event event);

// Queued on the stream; a copy to the host is waited for. The host's bytes stay as they are until a
// copy to the device was waited for: of pageable memory too, which some systems copy late
// (Staging is for callers who do not wait).
void copy_to_device(Stream stream, void* device, const void* host, std::int64_t bytes);
void copy_to_host(Stream stream, void* host, const void* device, std::int64_t bytes);
void copy_on_device(Stream stream, void* to, const void* from, std::int64_t bytes);
void zero(Stream stream, void* device, std::int64_t bytes);

/// `params` points at the kernel's one argument. Used by launch() in launch.h.
void launch_kernel(Stream stream, const LaunchShape& shape, const void* kernel, const void* params);

/// With HEADSPARK_CUDA_WAIT set, and not while work is recorded: until all work of the stream is
/// done, as after each call above. For what libraries queue.
void settle(Stream stream);

// Between begin_capture and end_capture, what this thread queues on the stream is recorded and does
// not run: kernels with copies of their argument, copies on the device, zero. Whatever allocates,
// waits, copies from or to the host or queues on the default stream fails, at once or in
// end_capture.
void begin_capture(Stream stream);
/// What was recorded; never null.
Graph end_capture(Stream stream);
/// Ends a capture, also one that failed, and forgets what was recorded.
void abandon_capture(Stream stream) noexcept;
/// Queues what was recorded.
void launch_graph(Stream stream, Graph graph);
/// After the work that is queued of it.
void destroy_graph(Graph graph) noexcept;

}  // namespace headspark::cuda
