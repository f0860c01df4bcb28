// Tensor cores: ldmatrix and mma.sync as the PTX ISA defines them (sections 9.7.14.5.8 and
// 9.7.14.5.15). With g = lane / 4 and t = lane % 4 the registers of one 16 x 8 x 16 product hold
//   A [16 x 16]  a[0] (g, 2t..)  a[1] (g + 8, 2t..)  a[2] (g, 2t + 8..)  a[3] (g + 8, 2t + 8..)
//   B [16 x 8]   b[0] (2t.., g)  b[1] (2t + 8.., g)         two bf16 each, the lower index below
//   C [16 x 8]   c[0], c[1] (g, 2t..)  c[2], c[3] (g + 8, 2t..)
#pragma once

#include <cstdint>

#include "cuda/device/convert.h"
#include "cuda/device/shared.h"

namespace headspark::cuda {

struct FragmentA {
  std::uint32_t r[4];
};
struct FragmentB {
  std::uint32_t r[2];
};
struct FragmentC {
  float r[4];
};

/// Four 8 x 8 matrices of bf16: lane i names row i % 8 of matrix i / 8 (16 bytes, aligned).
/// Register m of a lane holds (g, 2t..) of matrix m; transposed: (2t.., g).
HEADSPARK_DEVICE void load_matrices(std::uint32_t (&r)[4], const SharedArray<Bf16>& from,
                                    int index) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from.address(index))
               : "memory");
}
HEADSPARK_DEVICE void load_matrices_transposed(std::uint32_t (&r)[4], const SharedArray<Bf16>& from,
                                               int index) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(from.address(index))
               : "memory");
}

/// c += a b
HEADSPARK_DEVICE void multiply_add(FragmentC& c, const FragmentA& a, const FragmentB& b) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c.r[0]), "+f"(c.r[1]), "+f"(c.r[2]), "+f"(c.r[3])
      : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]), "r"(b.r[1]));
}

}  // namespace headspark::cuda
