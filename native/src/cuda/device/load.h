// Wide accesses to device memory. `p` is aligned to the bytes that are moved.
#pragma once

namespace headspark::cuda {

struct alignas(16) Four {
  float x;
  float y;
  float z;
  float w;
};

struct alignas(8) Two {
  float x;
  float y;
};

/// Four floats that no one writes while the kernel runs, through the read-only path.
HEADSPARK_DEVICE Four load_four(const float* p) {
  const float4 v = __ldg(reinterpret_cast<const float4*>(p));
  return {v.x, v.y, v.z, v.w};
}
/// Four floats that this block may have written before its last barrier.
HEADSPARK_DEVICE Four read_four(const float* p) {
  const float4 v = *reinterpret_cast<const float4*>(p);
  return {v.x, v.y, v.z, v.w};
}
HEADSPARK_DEVICE void store_four(float* p, const Four& value) {
  *reinterpret_cast<float4*>(p) = make_float4(value.x, value.y, value.z, value.w);
}

/// The same of two.
HEADSPARK_DEVICE Two load_two(const float* p) {
  const float2 v = __ldg(reinterpret_cast<const float2*>(p));
  return {v.x, v.y};
}
HEADSPARK_DEVICE Two read_two(const float* p) {
  const float2 v = *reinterpret_cast<const float2*>(p);
  return {v.x, v.y};
}
HEADSPARK_DEVICE void store_two(float* p, const Two& value) {
  *reinterpret_cast<float2*>(p) = make_float2(value.x, value.y);
}
HEADSPARK_DEVICE float load_constant(const float* p) {
  return __ldg(p);
}

}  // namespace headspark::cuda
