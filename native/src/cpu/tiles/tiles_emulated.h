// The software twin of tiles_amx.h: the same functions on arrays, with the arithmetic that Intel
// documents for TDPBF16PS (Software Developer's Manual, volume 2): per instruction the even and the
// odd depths are two fp32 chains, whose sum is added to C; denormals are zero on the way in and
// out. Tiles that are not configured end the program, as they do on the processor.
#pragma once

#include <cstdint>

/// For what touches no memory but the twin's own registers, by indices known at compile time:
/// watched by the sanitizers, it took a third of the suite's time. Loads and stores are watched.
#if defined(__GNUC__)
#define HEADSPARK_OWN_REGISTERS __attribute__((no_sanitize("address", "undefined")))
#else
#define HEADSPARK_OWN_REGISTERS
#endif

namespace headspark {

struct EmulatedTiles {
  static constexpr int rows = 16;
  static constexpr int row_bytes = 64;

  struct Registers {
    unsigned char tile[8][rows][row_bytes];
    int counted;  // rows of tiles 0 to 5; 0: not configured
  };
  HEADSPARK_OWN_REGISTERS static Registers& state() {
    static thread_local Registers registers;
    return registers;
  }
  HEADSPARK_OWN_REGISTERS static Registers& registers() {
    Registers& registers = state();
    if (registers.counted == 0) __builtin_trap();
    return registers;
  }

  static void configure(std::int64_t count) { state().counted = static_cast<int>(count); }
  static void release() { state().counted = 0; }

  /// Rows that instructions on this tile touch; those after them are zero.
  template <int Tile>
  HEADSPARK_OWN_REGISTERS static int rows_of() {
    return Tile < 6 ? registers().counted : rows;
  }

  template <int Tile>
  static void zero() {
    __builtin_memset(registers().tile[Tile], 0, sizeof registers().tile[Tile]);
  }
  template <int Tile>
  static void load(const void* at, std::int64_t stride_bytes) {
    zero<Tile>();
    for (int r = 0; r < rows_of<Tile>(); ++r) {
      __builtin_memcpy(registers().tile[Tile][r], static_cast<const char*>(at) + r * stride_bytes,
                       row_bytes);
    }
  }
  template <int Tile>
  static void stream(const void* at, std::int64_t stride_bytes) {
    load<Tile>(at, stride_bytes);
  }
  template <int Tile>
  static void store(void* at, std::int64_t stride_bytes) {
    for (int r = 0; r < rows_of<Tile>(); ++r) {
      __builtin_memcpy(static_cast<char*>(at) + r * stride_bytes, registers().tile[Tile][r],
                       row_bytes);
    }
  }

  typedef float Quad __attribute__((vector_size(16)));
  typedef std::int32_t Bits __attribute__((vector_size(16)));

  HEADSPARK_OWN_REGISTERS static Quad flush(Quad x) {
    const Bits bits = reinterpret_cast<Bits>(x);
    return reinterpret_cast<Quad>(bits & ((bits & 0x7f800000) != 0));
  }
  /// The even (shift 16) or odd (shift 0) depths of four pairs of bf16.
  HEADSPARK_OWN_REGISTERS static Quad depths(const unsigned char* pairs, int shift) {
    Bits bits;
    __builtin_memcpy(&bits, pairs, sizeof bits);
    return flush(reinterpret_cast<Quad>((bits << shift) & static_cast<std::int32_t>(0xffff0000)));
  }

  template <int C, int A, int B>
  static void dot() {
    dot_of<C, A, B>([](const unsigned char* pairs, bool odd)
                        HEADSPARK_OWN_REGISTERS { return depths(pairs, odd ? 0 : 16); });
  }

 protected:
  /// `read` gives four even or odd depths of one operand as fp32, in which the product of two is
  /// exact: so that a product and a sum are the fused multiply-add.
  template <int C, int A, int B, typename Read>
  HEADSPARK_OWN_REGISTERS static void dot_of(const Read& read) {
    Registers& r = registers();
    for (int n = 0; n < 4; ++n) {  // four columns at a time
      Quad b[32];                  // by depth
      for (int k = 0; k < 32; ++k) b[k] = read(r.tile[B][k / 2] + 16 * n, k % 2 != 0);
      for (int m = 0; m < rows_of<A>(); ++m) {
        Quad even_chain{};
        Quad odd_chain{};
        for (int k = 0; k < 16; k += 4) {
          const Quad even = read(r.tile[A][m] + 4 * k, false);
          const Quad odd = read(r.tile[A][m] + 4 * k, true);
          for (int i = 0; i < 4; ++i) {
            even_chain = flush(even_chain + even[i] * b[2 * (k + i)]);
            odd_chain = flush(odd_chain + odd[i] * b[2 * (k + i) + 1]);
          }
        }
        Quad c;
        __builtin_memcpy(&c, r.tile[C][m] + 16 * n, sizeof c);
        c = flush(flush(c) + flush(even_chain + odd_chain));
        __builtin_memcpy(r.tile[C][m] + 16 * n, &c, sizeof c);
      }
    }
  }
};

/// The twin of AmxFp16Tiles: TDPFP16PS reads denormals as they are and makes zeros of those that it
/// would write (Instruction Set Extensions Programming Reference).
struct EmulatedFp16Tiles : EmulatedTiles {
  template <int C, int A, int B>
  static void dot() {
    dot_of<C, A, B>([](const unsigned char* pairs, bool odd) HEADSPARK_OWN_REGISTERS {
      Bits bits;
      __builtin_memcpy(&bits, pairs, sizeof bits);
      const Bits half = (odd ? bits >> 16 : bits) & 0xffff;
      // As fp16_value, four at a time.
      const Bits size = (half & 0x7fff) << 13;
      const Bits number = reinterpret_cast<Bits>(reinterpret_cast<Quad>(size) * 0x1p112f);
      const Bits endless = size >= (0x7c00 << 13);  // or no number
      const Bits value = (endless & (size + 0x70000000)) | (~endless & number);
      return reinterpret_cast<Quad>(value | (half & 0x8000) << 16);
    });
  }
};

}  // namespace headspark
