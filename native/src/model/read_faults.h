// Reads of mapped files that their disk cannot answer. Where a file was cut short meanwhile, or its
// disk or server failed, such a read raises SIGBUS, which would end the process without a word.
// Here it gives zeros, and the mapping remembers: whoever computes with what was read asks
// faulted() afterwards. (The way of Wayland's wl_shm_buffer_begin_access.) Signals of other
// addresses go to the handler that was there before.
#pragma once

#include <cstddef>

namespace headspark {

struct WatchedRange;

/// Watches [data, data + size) of a mapping for as long as the object lives, which must end before
/// the mapping does. Any thread; the handler of the process is installed while something is
/// watched.
class ReadFaults {
 public:
  ReadFaults(const std::byte* data, std::size_t size);
  ~ReadFaults();
  ReadFaults(const ReadFaults&) = delete;
  ReadFaults& operator=(const ReadFaults&) = delete;

  /// Whether a read failed; all of the mapping is zeros from then on.
  bool faulted() const;

 private:
  WatchedRange* range_;
};

}  // namespace headspark
