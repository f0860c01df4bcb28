// What tests may set and see of the emulated device: its memory, and captures of its streams.
#pragma once

#include <cstdint>
#include <functional>

#include "cuda/runtime.h"

namespace headspark::cuda {

/// The device's size; 4 GiB unless set.
void set_emulated_memory(std::int64_t bytes);
std::int64_t emulated_bytes_in_use();
/// Whether the device has allocated it.
bool is_emulated_memory(std::uintptr_t address);

/// Runs `work`, or records it where the stream is captured; Error(DEVICE) on the default stream
/// while another one is. What kernels and libraries queue goes through here.
void queue(Stream stream, std::function<void()> work);
/// Pieces of work that streams have run so far, those of graphs each time that one was launched.
std::int64_t emulated_work();
/// Until it is set back, captures fail as with a driver that refuses them.
void refuse_captures(bool refused);
/// Until it is set back, the system pins no memory.
void refuse_pinned(bool refused);
/// Recorded graphs that are not destroyed.
std::int64_t emulated_graphs();
/// Calls of synchronize so far.
std::int64_t emulated_waits();

}  // namespace headspark::cuda
