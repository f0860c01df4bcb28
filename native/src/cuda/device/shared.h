// The block's dynamic shared memory, cut into arrays. Arrays begin at multiples of 16 bytes.
#pragma once

#include <cstdint>

namespace headspark::cuda {

template <typename T>
class SharedArray {
 public:
  HEADSPARK_DEVICE SharedArray(T* data) : data_(data) {}

  HEADSPARK_DEVICE T load(int index) const { return data_[index]; }
  HEADSPARK_DEVICE void store(int index, const T& value) const { data_[index] = value; }
  /// 16 or 8 bytes at once; `index` is a multiple of the elements that fit.
  template <typename V>
  HEADSPARK_DEVICE V load_as(int index) const {
    return *reinterpret_cast<const V*>(data_ + index);
  }
  template <typename V>
  HEADSPARK_DEVICE void store_as(int index, const V& value) const {
    *reinterpret_cast<V*>(data_ + index) = value;
  }
  /// Adds at once with whoever else does, and returns what was there: of whole numbers, whose sums
  /// have no order.
  HEADSPARK_DEVICE std::uint32_t add(int index, std::uint32_t value) const {
    static_assert(sizeof(T) == 4, "a whole number of 32 bits");
    return atomicAdd(data_ + index, value);
  }
  /// The same memory, of another type.
  template <typename V>
  HEADSPARK_DEVICE SharedArray<V> as() const {
    return {reinterpret_cast<V*>(data_)};
  }
  /// The address that ldmatrix and cp.async want.
  HEADSPARK_DEVICE unsigned address(int index) const {
    return static_cast<unsigned>(__cvta_generic_to_shared(data_ + index));
  }

 private:
  T* data_;
};

class SharedMemory {
 public:
  HEADSPARK_DEVICE SharedMemory() {
    extern __shared__ __align__(128) unsigned char headspark_shared[];
    next_ = headspark_shared;
  }
  template <typename T>
  HEADSPARK_DEVICE SharedArray<T> take(int count) {
    T* const data = reinterpret_cast<T*>(next_);
    next_ += (count * static_cast<int>(sizeof(T)) + 15) / 16 * 16;
    return {data};
  }

 private:
  unsigned char* next_;
};

}  // namespace headspark::cuda
