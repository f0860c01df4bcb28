// What the instructions of PTX do, for the C++ that scripts/checks/ptx makes of nvcc's output (PTX
// ISA 9.0, chapter 9). Registers are unsigned integers that hold bits; memory is the emulated
// device's, whose checks of bounds, alignment and races see every access. Approximate instructions
// are off by a place where the ISA lets them be.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "cuda_emulation/device.h"

namespace headspark::cuda_emulation::ptx {

using namespace headspark::cuda;

// Registers.

/// The lowest bits of a register, as a type of C++.
template <typename To, typename From>
To as(From bits) {
  if constexpr (std::is_same_v<To, float>) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
  } else if constexpr (std::is_same_v<To, double>) {
    return std::bit_cast<double>(static_cast<std::uint64_t>(bits));
  } else {
    return static_cast<To>(bits);
  }
}
/// Signed values are extended to a wider register, and others filled up with zeros.
template <typename Register, typename T>
void put(Register& to, T value) {
  if constexpr (std::is_same_v<T, float>) {
    to = std::bit_cast<std::uint32_t>(value);
  } else if constexpr (std::is_same_v<T, double>) {
    to = std::bit_cast<std::uint64_t>(value);
  } else {
    to = static_cast<Register>(value);
  }
}
template <typename Whole, typename Half>
void join(Whole& to, Half low, Half high) {
  to = static_cast<Whole>(low) | (static_cast<Whole>(high) << (8 * sizeof(Half)));
}
template <typename Whole, typename Half>
void part(Half& low, Half& high, Whole from) {
  low = static_cast<Half>(from);
  high = static_cast<Half>(from >> (8 * sizeof(Half)));
}

// Arithmetic. Types of integers are unsigned where sums may wrap.

template <typename T>
T sum(T a, T b) {
  return static_cast<T>(a + b);
}
template <typename T>
T difference(T a, T b) {
  return static_cast<T>(a - b);
}
template <typename T>
T product(T a, T b) {
  return static_cast<T>(a * b);
}
template <typename T>
T product_and_sum(T a, T b, T c) {
  return static_cast<T>(a * b + c);
}
/// Division by zero is undefined on a device; the smallest number by -1 wraps.
template <typename T>
T quotient(T a, T b, const Where& where = Where::current()) {
  if (b == 0) Block::current().fail("divides by zero", where);
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
  }
  return static_cast<T>(a / b);
}
template <typename T>
T remainder_of(T a, T b, const Where& where = Where::current()) {
  return static_cast<T>(static_cast<std::make_unsigned_t<T>>(a) -
                        static_cast<std::make_unsigned_t<T>>(quotient(a, b, where)) *
                            static_cast<std::make_unsigned_t<T>>(b));
}
/// Of two numbers -0 is the smaller zero; the number where the other is NaN.
template <typename T>
T larger(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a == b) return std::signbit(a) ? b : a;
    return std::fmax(a, b);
  } else {
    return a < b ? b : a;
  }
}
template <typename T>
T smaller(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (a == b) return std::signbit(a) ? a : b;
    return std::fmin(a, b);
  } else {
    return b < a ? b : a;
  }
}
template <typename T>
T magnitude(T a) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::fabs(a);
  } else {
    return a < 0 ? static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a)) : a;
  }
}
template <typename T>
T negative(T a) {
  if constexpr (std::is_floating_point_v<T>) {
    return -a;
  } else {
    return static_cast<T>(0 - static_cast<std::make_unsigned_t<T>>(a));
  }
}
template <typename T>
T complement(T a) {
  return static_cast<T>(~a);
}
/// A count beyond the width shifts everything out.
template <typename T>
T shifted_left(T a, std::uint32_t count) {
  return count >= 8 * sizeof(T) ? T{0} : static_cast<T>(a << count);
}
template <typename T>
T shifted_right(T a, std::uint32_t count) {
  constexpr std::uint32_t kMost = 8 * sizeof(T) - 1;
  if (count > kMost && !std::is_signed_v<T>) return 0;
  return static_cast<T>(a >> (count > kMost ? kMost : count));
}
/// `b` with the low `count` bits of `a` at `position`.
inline std::uint32_t insert_bits(std::uint32_t a, std::uint32_t b, std::uint32_t position,
                                 std::uint32_t count) {
  const std::uint32_t mask = shifted_left(~shifted_left(~0u, count & 255), position & 255);
  return (b & ~mask) | (shifted_left(a, position & 255) & mask);
}

template <typename T>
bool unordered(T a, T b) {
  return std::isnan(a) || std::isnan(b);
}
inline float fused_nearest(float a, float b, float c) {
  return std::fma(a, b, c);
}
inline double fused_nearest(double a, double b, double c) {
  return std::fma(a, b, c);
}
/// a * b + c towards minus infinity: the product is exact in fp64, and so is what its sum lost.
inline float fused_down(float a, float b, float c) {
  const double ab = static_cast<double>(a) * static_cast<double>(b);
  const double total = ab + static_cast<double>(c);
  const double second = total - ab;
  const double lost = (ab - (total - second)) + (static_cast<double>(c) - second);
  const float rounded = static_cast<float>(total);
  const double over = static_cast<double>(rounded) - total;
  if (over > 0 || (over == 0 && lost < 0)) {
    return std::nextafterf(rounded, -std::numeric_limits<float>::infinity());
  }
  return rounded;
}

/// A neighbour of the exact result: which one its bits decide. Powers of two stay.
template <typename T, typename Bits>
T neighbour(T exact, Bits bits) {
  constexpr Bits kMantissa = (Bits{1} << (std::numeric_limits<T>::digits - 1)) - 1;
  if ((bits & kMantissa) == 0 || !std::isfinite(exact)) return exact;
  return std::bit_cast<T>(((bits ^ (bits >> 5)) & 1) == 0 ? bits + 1 : bits - 1);
}
inline float flushed(float x) {
  return std::fabs(x) < std::numeric_limits<float>::min() ? std::copysign(0.0f, x) : x;
}
inline float quick_exp2(float x) {
  const float exact = flushed(std::exp2(flushed(x)));
  return flushed(neighbour(exact, std::bit_cast<std::uint32_t>(exact)));
}
inline float quick_inverse(float x) {
  const float exact = flushed(1.0f / flushed(x));
  return flushed(neighbour(exact, std::bit_cast<std::uint32_t>(exact)));
}
/// Reads and writes the upper half of a double alone.
inline double quick_inverse(double x) {
  constexpr std::uint64_t kUpper = 0xffffffff00000000ull;
  const double upper = std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & kUpper);
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(1.0 / upper) & kUpper);
}
inline float saturated(float x) {
  return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f;
}
template <typename T>
std::int32_t towards_zero(T x) {
  if (std::isnan(x)) return 0;
  if (x >= T{2147483648.0}) return std::numeric_limits<std::int32_t>::max();
  if (x <= T{-2147483648.0}) return std::numeric_limits<std::int32_t>::min();
  return static_cast<std::int32_t>(x);
}

// Memory. Addresses of shared memory are offsets into the block's.

template <typename T, int Count>
struct Values {
  T v[Count];
};

inline void check_aligned(std::uint64_t address, std::size_t bytes, const Where& where) {
  check_alignment(reinterpret_cast<const void*>(address), bytes, where);
}
template <typename T, typename... Registers>
void spread(const T* from, Registers&... to) {
  (put(to, *from++), ...);
}

template <typename T, int Count, typename... Registers>
void load_parameter(std::uint64_t from, Registers&... to) {
  T values[Count];
  std::memcpy(values, reinterpret_cast<const void*>(from), sizeof values);
  spread(values, to...);
}
/// Default arguments cannot follow the registers: a load knows its line by this.
struct Source {
  std::uint64_t address;
  Where where;
  template <typename Bits>
  Source(Bits bits, const Where& at = Where::current())
      : address(static_cast<std::uint64_t>(bits)), where(at) {}
};

template <typename T, int Count, typename... Registers>
void load_generic(const Source& from, Registers&... to) {
  T values[Count];
  check_aligned(from.address, sizeof values, from.where);
  const T* const source = reinterpret_cast<const T*>(from.address);
  if (sizeof values >= 8) {
    ReadWatch::note(reinterpret_cast<const float*>(source), sizeof values);
  }
  for (int i = 0; i < Count; ++i) values[i] = source[i];
  spread(values, to...);
}
template <typename T, int Count, typename... Registers>
void load_global(const Source& from, Registers&... to) {
  load_generic<T, Count>(from, to...);
}
template <typename T, int Count, typename... Registers>
void load_constant(const Source& from, Registers&... to) {
  Block::current().note_constant(reinterpret_cast<const void*>(from.address), sizeof(T) * Count);
  load_generic<T, Count>(from, to...);
}
template <typename T, int Count>
void store_generic(std::uint64_t address, const Values<T, Count>& values,
                   const Where& where = Where::current()) {
  check_aligned(address, sizeof values, where);
  T* const to = reinterpret_cast<T*>(address);
  for (int i = 0; i < Count; ++i) to[i] = values.v[i];
}
template <typename T, int Count>
void store_global(std::uint64_t address, const Values<T, Count>& values,
                  const Where& where = Where::current()) {
  store_generic(address, values, where);
}

/// Bytes at `offset` of the block's shared memory.
inline unsigned char* shared_bytes(std::uint64_t offset, std::size_t bytes, bool write,
                                   const Where& where) {
  Block& block = Block::current();
  const std::size_t at = static_cast<std::uint32_t>(offset);
  if (at + bytes > block.shared_bytes()) block.fail("reaches beyond its shared memory", where);
  if (at % bytes != 0) {
    block.fail("reaches " + std::to_string(bytes) + " shared bytes that are not aligned", where);
  }
  block.check_shared(at, bytes, write, where);
  return block.shared() + at;
}
template <typename T, int Count, typename... Registers>
void load_shared(const Source& from, Registers&... to) {
  T values[Count];
  std::memcpy(values, shared_bytes(from.address, sizeof values, false, from.where), sizeof values);
  spread(values, to...);
}
template <typename T, int Count>
void store_shared(std::uint64_t offset, const Values<T, Count>& values,
                  const Where& where = Where::current()) {
  std::memcpy(shared_bytes(offset, sizeof values, true, where), &values, sizeof values);
}

inline std::uint32_t add_shared(std::uint64_t offset, std::uint32_t value,
                                const Where& where = Where::current()) {
  const SharedArray<std::uint32_t> memory(0, static_cast<int>(Block::current().shared_bytes() / 4));
  const auto at = static_cast<std::uint32_t>(offset);
  if (at % 4 != 0) Block::current().fail("adds to 4 shared bytes that are not aligned", where);
  return memory.add(static_cast<int>(at / 4), value, where);
}

inline void copy_sixteen(std::uint32_t to, std::uint64_t from, std::uint32_t valid_bytes,
                         const Where& where = Where::current()) {
  Block& block = Block::current();
  check_aligned(from, 16, where);
  if (to % 16 != 0 || to + std::size_t{16} > block.shared_bytes() || valid_bytes > 16) {
    block.fail("copies to where 16 bytes of its shared memory cannot be", where);
  }
  ReadWatch::note(reinterpret_cast<const float*>(from), valid_bytes);
  block.begin_copy({to, reinterpret_cast<const void*>(from), 16, valid_bytes}, where);
}

// Exchange between lanes.

inline void check_members(std::uint32_t members, const Where& where) {
  if (members != ~0u) Block::current().fail("leaves lanes of its warp out", where);
}
inline void exchange_lanes(std::uint32_t& to, std::uint32_t value, std::uint32_t from,
                           std::uint32_t members, const Where& where) {
  check_members(members, where);
  to = static_cast<std::uint32_t>(
      shuffle_from(static_cast<int>(value), static_cast<int>(from), where));
}
inline void value_of_xor(std::uint32_t& to, bool& within, std::uint32_t value, std::uint32_t mask,
                         std::uint32_t clamp, std::uint32_t members,
                         const Where& where = Where::current()) {
  if (mask > 31 || clamp != 31) Block::current().fail("exchanges parts of a warp", where);
  within = true;
  exchange_lanes(to, value, static_cast<std::uint32_t>(lane_index()) ^ mask, members, where);
}
inline void value_of_lane(std::uint32_t& to, bool& within, std::uint32_t value, std::uint32_t lane,
                          std::uint32_t clamp, std::uint32_t members,
                          const Where& where = Where::current()) {
  if (clamp != 31) Block::current().fail("exchanges parts of a warp", where);
  within = true;
  exchange_lanes(to, value, lane & 31, members, where);
}
inline std::uint32_t ballot_of_lanes(bool predicate, std::uint32_t members,
                                     const Where& where = Where::current()) {
  check_members(members, where);
  return ballot(predicate, where);
}
inline bool any_of_lanes(bool predicate, std::uint32_t members,
                         const Where& where = Where::current()) {
  return ballot_of_lanes(predicate, members, where) != 0;
}

// Tensor cores.

inline void read_matrices(Block::Combine combine, const Source& from, std::uint32_t (&r)[4]) {
  shared_bytes(from.address, 16, false, from.where);
  load_matrices_with("ldmatrix", combine, r, static_cast<std::uint32_t>(from.address), from.where);
}
inline void matrices(const Source& from, std::uint32_t& a, std::uint32_t& b, std::uint32_t& c,
                     std::uint32_t& d) {
  std::uint32_t r[4];
  read_matrices(&distribute_rows, from, r);
  spread(r, a, b, c, d);
}
inline void matrices_transposed(const Source& from, std::uint32_t& a, std::uint32_t& b,
                                std::uint32_t& c, std::uint32_t& d) {
  std::uint32_t r[4];
  read_matrices(&distribute_columns, from, r);
  spread(r, a, b, c, d);
}
inline void multiply_matrices(const Values<std::uint32_t, 4>& a, const Values<std::uint32_t, 2>& b,
                              const Values<std::uint32_t, 4>& c, std::uint32_t& d0,
                              std::uint32_t& d1, std::uint32_t& d2, std::uint32_t& d3,
                              const Where& where = Where::current()) {
  FragmentA left;
  FragmentB right;
  FragmentC sums;
  std::memcpy(left.r, a.v, sizeof left.r);
  std::memcpy(right.r, b.v, sizeof right.r);
  std::memcpy(sums.r, c.v, sizeof sums.r);
  cuda::multiply_add(sums, left, right, where);
  spread(sums.r, d0, d1, d2, d3);
}

}  // namespace headspark::cuda_emulation::ptx
