// The thin device functions of src/cuda/device, on the emulated execution model: same names, same
// meaning, and every misuse that the model can see is an Error(DEVICE) naming thread and line.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <source_location>
#include <type_traits>

#include "cuda_emulation/block.h"
#include "cuda_emulation/read_watch.h"
#include "cuda_emulation/tensor_core.h"
#include "headspark/dtype.h"

namespace headspark::cuda {

using cuda_emulation::Block;
using Where = std::source_location;

// Who a thread is, and the block's barrier.

inline int thread_index() {
  return Block::current().thread();
}
inline int block_threads() {
  return Block::current().shape().threads;
}
inline int lane_index() {
  return thread_index() % cuda_emulation::kWarpLanes;
}
inline int warp_index() {
  return thread_index() / cuda_emulation::kWarpLanes;
}
inline int block_x() {
  return Block::current().index().x;
}
inline int block_y() {
  return Block::current().index().y;
}
inline int block_z() {
  return Block::current().index().z;
}
inline int grid_x() {
  return Block::current().shape().grid.x;
}
inline void sync_threads(const Where& where = Where::current()) {
  Block::current().sync_threads(where);
}

// Shared memory, with the bounds of every array.

template <typename T>
class SharedArray {
 public:
  SharedArray(std::size_t offset, int count) : offset_(offset), count_(count) {}

  T load(int index, const Where& where = Where::current()) const {
    return load_as<T>(index, where);
  }
  void store(int index, const T& value, const Where& where = Where::current()) const {
    store_as<T>(index, value, where);
  }
  template <typename V>
  V load_as(int index, const Where& where = Where::current()) const {
    V value;
    std::memcpy(&value, checked(index, sizeof(V), false, where), sizeof(V));
    return value;
  }
  template <typename V>
  void store_as(int index, const V& value, const Where& where = Where::current()) const {
    std::memcpy(checked(index, sizeof(V), true, where), &value, sizeof(V));
  }
  std::uint32_t add(int index, std::uint32_t value, const Where& where = Where::current()) const {
    static_assert(std::is_same_v<T, std::uint32_t>, "a whole number of 32 bits");
    const std::size_t at = offset(index, sizeof value, where);
    Block& block = Block::current();
    block.check_shared_addition(at, sizeof value, where);
    std::uint32_t before;
    std::memcpy(&before, block.shared() + at, sizeof before);
    const std::uint32_t sum = before + value;
    std::memcpy(block.shared() + at, &sum, sizeof sum);
    return before;
  }
  template <typename V>
  SharedArray<V> as() const {
    return {offset_, static_cast<int>(static_cast<std::size_t>(count_) * sizeof(T) / sizeof(V))};
  }
  /// Where element `index` lies in shared memory, for `bytes` from there on.
  std::size_t offset(int index, std::size_t bytes, const Where& where) const {
    const std::size_t end = static_cast<std::size_t>(count_) * sizeof(T);
    const std::size_t at = static_cast<std::size_t>(index) * sizeof(T);
    if (index < 0 || at + bytes > end) {
      Block::current().fail("reaches element " + std::to_string(index) + " of a shared array of " +
                                std::to_string(count_),
                            where);
    }
    if ((offset_ + at) % bytes != 0) {
      Block::current().fail("reaches " + std::to_string(bytes) +
                                " shared bytes at an address that is not aligned to that",
                            where);
    }
    return offset_ + at;
  }

 private:
  unsigned char* checked(int index, std::size_t bytes, bool write, const Where& where) const {
    const std::size_t at = offset(index, bytes, where);
    Block& block = Block::current();
    block.check_shared(at, bytes, write, where);
    return block.shared() + at;
  }

  std::size_t offset_;
  int count_;
};

class SharedMemory {
 public:
  template <typename T>
  SharedArray<T> take(int count, const Where& where = Where::current()) {
    const std::size_t begin = next_;
    next_ += (static_cast<std::size_t>(count) * sizeof(T) + 15) / 16 * 16;
    if (next_ > Block::current().shared_bytes()) {
      Block::current().fail("takes " + std::to_string(next_) + " of " +
                                std::to_string(Block::current().shared_bytes()) +
                                " bytes of shared memory",
                            where);
    }
    return {begin, count};
  }

 private:
  std::size_t next_ = 0;
};

// Exchange between lanes.

namespace emulated {

template <typename T>
struct Routed {
  T value;
  int from;
};

template <typename T>
void route(const unsigned char* in, unsigned char* out) {
  for (int lane = 0; lane < cuda_emulation::kWarpLanes; ++lane) {
    Routed<T> wish;
    std::memcpy(&wish, in + lane * Block::kSlotBytes, sizeof wish);
    Routed<T> source;
    std::memcpy(&source, in + (wish.from & 31) * static_cast<int>(Block::kSlotBytes),
                sizeof source);
    std::memcpy(out + lane * Block::kSlotBytes, &source.value, sizeof(T));
  }
}

template <typename T>
T shuffle(const char* name, T value, int from, const Where& where) {
  const Routed<T> wish{value, from};
  T result;
  Block::current().exchange({name, &route<T>, &wish, sizeof wish, &result, sizeof result}, where);
  return result;
}

inline void vote(const unsigned char* in, unsigned char* out) {
  std::uint32_t mask = 0;
  for (int lane = 0; lane < cuda_emulation::kWarpLanes; ++lane) {
    if (in[lane * Block::kSlotBytes] != 0) mask |= 1u << lane;
  }
  for (int lane = 0; lane < cuda_emulation::kWarpLanes; ++lane) {
    std::memcpy(out + lane * Block::kSlotBytes, &mask, sizeof mask);
  }
}

}  // namespace emulated

inline void sync_warp(const Where& where = Where::current()) {
  Block::current().sync_warp(where);
}
inline float shuffle_xor(float value, int mask, const Where& where = Where::current()) {
  return emulated::shuffle("shuffle_xor", value, lane_index() ^ mask, where);
}
inline int shuffle_xor(int value, int mask, const Where& where = Where::current()) {
  return emulated::shuffle("shuffle_xor", value, lane_index() ^ mask, where);
}
inline double shuffle_xor(double value, int mask, const Where& where = Where::current()) {
  return emulated::shuffle("shuffle_xor", value, lane_index() ^ mask, where);
}
inline float shuffle_from(float value, int lane, const Where& where = Where::current()) {
  return emulated::shuffle("shuffle_from", value, lane, where);
}
inline int shuffle_from(int value, int lane, const Where& where = Where::current()) {
  return emulated::shuffle("shuffle_from", value, lane, where);
}
inline float shuffle_up(float value, int delta, const Where& where = Where::current()) {
  const int lane = lane_index();
  return emulated::shuffle("shuffle_up", value, lane >= delta ? lane - delta : lane, where);
}
inline unsigned ballot(bool predicate, const Where& where = Where::current()) {
  const unsigned char in = predicate ? 1 : 0;
  std::uint32_t mask = 0;
  Block::current().exchange({"ballot", &emulated::vote, &in, 1, &mask, sizeof mask}, where);
  return mask;
}
inline bool any_lane(bool predicate, const Where& where = Where::current()) {
  return ballot(predicate, where) != 0;
}
inline int count_bits(unsigned mask) {
  return std::popcount(mask);
}

// Conversions.

struct Bf16 {
  std::uint16_t bits;
};

inline float bits_to_float(std::uint32_t bits) {
  return bits_to_f32(bits);
}
inline std::uint32_t float_to_bits(float value) {
  return f32_to_bits(value);
}
inline float bf16_to_float(Bf16 value) {
  return bf16_to_f32(value.bits);
}
inline Bf16 float_to_bf16(float value) {
  return {f32_to_bf16(value)};
}
inline std::uint32_t pack_bf16(float low, float high) {
  return f32_to_bf16(low) | (static_cast<std::uint32_t>(f32_to_bf16(high)) << 16);
}
inline float half_to_float(std::uint16_t bits) {
  return f16_to_f32(bits);
}

// Mathematics.

inline float exponential(float x) {
  return std::exp(x);
}
inline float quick_power_of_two(float x) {
  const float value = std::exp2(x);
  return value < 0x1p-126f ? 0.0f : value;
}
inline float logarithm(float x) {
  return std::log(x);
}
inline float complementary_error_function(float x) {
  return std::erfc(x);
}
inline double logarithm(double x) {
  return std::log(x);
}
inline double exponential(double x) {
  return std::exp(x);
}
inline bool is_finite(float x) {
  return std::isfinite(x);
}
inline float square_root(float x) {
  return std::sqrt(x);
}
inline double square_root(double x) {
  return std::sqrt(x);
}
inline float quick_reciprocal(float x) {
  return 1.0f / x;
}
inline float larger_number(float a, float b) {
  return std::fmax(a, b);
}
inline float absolute(float x) {
  return std::fabs(x);
}
inline float multiply_add(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline float rounded_product(float a, float b) {
  return a * b;
}
inline float infinity() {
  return HUGE_VALF;
}
inline std::uint32_t multiply_high(std::uint32_t a, std::uint32_t b) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(a) * b) >> 32);
}

// Wide accesses to device memory.

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

inline void check_alignment(const void* p, std::size_t bytes, const Where& where) {
  if (reinterpret_cast<std::uintptr_t>(p) % bytes != 0) {
    Block::current().fail(
        "reaches " + std::to_string(bytes) + " bytes of device memory that are not aligned to that",
        where);
  }
}
inline Four read_four(const float* p, const Where& where = Where::current()) {
  check_alignment(p, sizeof(Four), where);
  cuda_emulation::ReadWatch::note(p, sizeof(Four));
  Four four;
  std::memcpy(&four, p, sizeof four);
  return four;
}
inline Four load_four(const float* p, const Where& where = Where::current()) {
  Block::current().note_constant(p, sizeof(Four));
  return read_four(p, where);
}
inline void store_four(float* p, const Four& value, const Where& where = Where::current()) {
  check_alignment(p, sizeof(Four), where);
  std::memcpy(p, &value, sizeof value);
}
inline Two read_two(const float* p, const Where& where = Where::current()) {
  check_alignment(p, sizeof(Two), where);
  cuda_emulation::ReadWatch::note(p, sizeof(Two));
  Two two;
  std::memcpy(&two, p, sizeof two);
  return two;
}
inline Two load_two(const float* p, const Where& where = Where::current()) {
  Block::current().note_constant(p, sizeof(Two));
  return read_two(p, where);
}
inline void store_two(float* p, const Two& value, const Where& where = Where::current()) {
  check_alignment(p, sizeof value, where);
  std::memcpy(p, &value, sizeof value);
}
inline float load_constant(const float* p) {
  Block::current().note_constant(p, sizeof(float));
  return *p;
}

// Tensor cores.

struct FragmentA {
  std::uint32_t r[4];
};
struct FragmentB {
  std::uint32_t r[2];
};
struct FragmentC {
  float r[4];
};

inline void load_matrices_with(const char* name, Block::Combine combine, std::uint32_t (&r)[4],
                               std::size_t offset, const Where& where) {
  Block& block = Block::current();
  block.check_shared(offset, 16, false, where);
  block.exchange({name, combine, block.shared() + offset, 16, r, sizeof r, true}, where);
}
inline void load_matrices(std::uint32_t (&r)[4], const SharedArray<Bf16>& from, int index,
                          const Where& where = Where::current()) {
  load_matrices_with("load_matrices", &cuda_emulation::distribute_rows, r,
                     from.offset(index, 16, where), where);
}
inline void load_matrices_transposed(std::uint32_t (&r)[4], const SharedArray<Bf16>& from,
                                     int index, const Where& where = Where::current()) {
  load_matrices_with("load_matrices_transposed", &cuda_emulation::distribute_columns, r,
                     from.offset(index, 16, where), where);
}

inline void multiply_add(FragmentC& c, const FragmentA& a, const FragmentB& b,
                         const Where& where = Where::current()) {
  cuda_emulation::MmaOperands in;
  std::memcpy(in.a, a.r, sizeof in.a);
  std::memcpy(in.b, b.r, sizeof in.b);
  std::memcpy(in.c, c.r, sizeof in.c);
  Block::current().exchange(
      {"multiply_add", &cuda_emulation::multiply_16x8x16, &in, sizeof in, c.r, sizeof c.r}, where);
}

// cp.async.

template <typename T>
void copy_async(const SharedArray<T>& to, int index, const std::type_identity_t<T>* source,
                int valid_bytes, const Where& where = Where::current()) {
  cuda_emulation::ReadWatch::note(reinterpret_cast<const float*>(source), valid_bytes);
  Block::current().begin_copy(
      {to.offset(index, 16, where), source, 16, static_cast<std::size_t>(valid_bytes)}, where);
}
inline void commit_copies() {
  Block::current().commit_copies();
}
template <int Left>
void wait_copies() {
  Block::current().wait_copies(Left);
}

}  // namespace headspark::cuda

#include "cuda_emulation/launch.h"
