// When threads of a block last used a piece of memory, and whether a barrier lies between then and
// now: the same for shared memory and for the device's.
#pragma once

#include <cstdint>

namespace headspark::cuda_emulation {

/// A use by one thread: how many barriers the block and the thread's warp had met before it.
struct Moment {
  std::uint32_t epoch = 0;
  std::uint32_t warp_epoch = 0;
  std::int16_t thread = -1;  // of at most 1024
};

/// The newest use of one kind and, since the block's last barrier, whether others used it as well.
/// Epochs are above 0: a use that never was is of epoch 0.
struct LastUse : Moment {
  bool many_threads = false;
  bool many_warps = false;

  /// Whether it happened before a use now.
  bool ordered(const Moment& now) const {
    if (epoch != now.epoch) return true;  // a barrier, or nothing at all, lies between
    if (!many_threads && thread == now.thread) return true;
    return !many_warps && same_warp(now) && warp_epoch < now.warp_epoch;
  }
  /// One more use, which need not be ordered with the others.
  void join(const Moment& now) {
    if (epoch == now.epoch) {
      many_threads = many_threads || thread != now.thread;
      many_warps = many_warps || !same_warp(now);
    } else {
      many_threads = many_warps = false;
    }
    static_cast<Moment&>(*this) = now;
  }
  /// A use that is ordered with all before it.
  void replace(const Moment& now) {
    static_cast<Moment&>(*this) = now;
    many_threads = many_warps = false;
  }

 private:
  bool same_warp(const Moment& now) const { return thread / 32 == now.thread / 32; }
};

}  // namespace headspark::cuda_emulation
