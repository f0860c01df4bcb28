// What ldmatrix and mma.sync do with the 32 lanes' registers (PTX ISA, sections 9.7.14.5.8 and
// 9.7.14.5.15; the layouts are drawn in src/cuda/device/matrix.h).
#pragma once

#include <cstdint>

namespace headspark::cuda_emulation {

struct MmaOperands {
  std::uint32_t a[4];
  std::uint32_t b[2];
  float c[4];
};

/// ldmatrix.x4: each lane's in is the 16 bytes of its row; out its four registers.
void distribute_rows(const unsigned char* in, unsigned char* out);
/// The same with .trans.
void distribute_columns(const unsigned char* in, unsigned char* out);

/// mma.sync.m16n8k16 on bf16: in is each lane's MmaOperands, out its c. As the devices do (Fasi et
/// al. 2021, "Numerical behavior of NVIDIA tensor cores"): products are exact, each block of 8
/// depths is added to c at once, and the sum is cut off, not rounded, to fp32. The bits of a device
/// may differ below that; headspark's results near the specification may not.
void multiply_16x8x16(const unsigned char* in, unsigned char* out);

}  // namespace headspark::cuda_emulation
