// The functions that touch AMX tile registers. Numbers of tiles are template arguments because the
// instructions encode them; gcc 12's intrinsics are macros that paste a literal, so the
// instructions are written here. Compilers never use tile registers of their own, so none is a
// clobber.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace headspark {

struct AmxTiles {
  /// Tiles of 16 rows of 64 bytes on this thread until release(), about 50 ns; of C and A (0 to 5)
  /// only the first `rows` rows.
  static void configure(std::int64_t rows) {
    struct alignas(64) Config {
      std::uint8_t palette = 1;
      std::uint8_t start_row = 0;
      std::uint8_t reserved[14] = {};
      std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } config;
    static_assert(sizeof(Config) == 64);
    for (int tile = 0; tile < 6; ++tile) config.rows[tile] = static_cast<std::uint8_t>(rows);
    // gcc 12 does not see that _tile_loadconfig reads memory and drops the stores above.
    __asm__ volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
  }
  static void release() { _tile_release(); }

  template <int Tile>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(Tile));
  }
  template <int Tile>
  static void load(const void* at, std::int64_t stride_bytes) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2"
                     :
                     : "r"(at), "r"(stride_bytes), "i"(Tile)
                     : "memory");
  }
  /// The same with a hint that these lines are read once: they need not push others out of L1.
  template <int Tile>
  static void stream(const void* at, std::int64_t stride_bytes) {
    __asm__ volatile("tileloaddt1 (%0,%1,1), %%tmm%c2"
                     :
                     : "r"(at), "r"(stride_bytes), "i"(Tile)
                     : "memory");
  }
  template <int Tile>
  static void store(void* at, std::int64_t stride_bytes) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)"
                     :
                     : "r"(at), "r"(stride_bytes), "i"(Tile)
                     : "memory");
  }
  /// C += A B: 16 x 32 by 32 x 16 in pairs.
  template <int C, int A, int B>
  static void dot() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
};

/// The same with tiles of fp16: Granite Rapids and later.
struct AmxFp16Tiles : AmxTiles {
  /// TDPFP16PS, VEX.128.F2.0F38.W0 5C: assemblers before binutils 2.40 do not know its name.
  template <int C, int A, int B>
  static void dot() {
    __asm__ volatile(".byte 0xc4, 0xe2, %c0, 0x5c, %c1"
                     :
                     : "i"((~B & 15) << 3 | 3), "i"(0xc0 | C << 3 | A));
  }
};

}  // namespace headspark
