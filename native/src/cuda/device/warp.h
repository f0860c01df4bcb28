// Exchange between the 32 lanes of a warp. All lanes take part, always.
#pragma once

namespace headspark::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

HEADSPARK_DEVICE void sync_warp() {
  __syncwarp();
}
/// The value of lane (own lane ^ mask).
HEADSPARK_DEVICE float shuffle_xor(float value, int mask) {
  return __shfl_xor_sync(kAllLanes, value, mask);
}
HEADSPARK_DEVICE int shuffle_xor(int value, int mask) {
  return __shfl_xor_sync(kAllLanes, value, mask);
}
HEADSPARK_DEVICE double shuffle_xor(double value, int mask) {
  return __shfl_xor_sync(kAllLanes, value, mask);
}
HEADSPARK_DEVICE float shuffle_from(float value, int lane) {
  return __shfl_sync(kAllLanes, value, lane);
}
HEADSPARK_DEVICE int shuffle_from(int value, int lane) {
  return __shfl_sync(kAllLanes, value, lane);
}
/// The value of lane (own lane - delta); its own where there is none.
HEADSPARK_DEVICE float shuffle_up(float value, int delta) {
  return __shfl_up_sync(kAllLanes, value, static_cast<unsigned>(delta));
}
HEADSPARK_DEVICE bool any_lane(bool predicate) {
  return __any_sync(kAllLanes, predicate) != 0;
}
/// Bit i is lane i's predicate.
HEADSPARK_DEVICE unsigned ballot(bool predicate) {
  return __ballot_sync(kAllLanes, predicate);
}
HEADSPARK_DEVICE int count_bits(unsigned mask) {
  return __popc(mask);
}

}  // namespace headspark::cuda
