// The part of cuBLASLt's C interface that headspark calls, declared here because neither building
// nor running needs the library: it is opened at run time. Names, values and layouts are those of
// cublasLt.h and library_types.h of CUDA 12 and 13, which keep them stable.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cuda/runtime.h"

namespace headspark::cuda::lt {

using Handle = struct OpaqueHandle*;
using MatmulDesc = struct OpaqueMatmulDesc*;
using Layout = struct OpaqueLayout*;
using Preference = struct OpaquePreference*;
using Status = int;  // cublasStatus_t; 0 is success

constexpr Status kSuccess = 0;

enum class DataType : int { f32 = 0, f16 = 2, bf16 = 14 };  // cudaDataType_t
enum class ComputeType : int { f32 = 68 };                  // CUBLAS_COMPUTE_32F
enum class Operation : int { none = 0, transpose = 1 };     // cublasOperation_t

// cublasLtMatmulDescAttributes_t, cublasLtMatrixLayoutAttribute_t,
// cublasLtMatmulPreferenceAttributes_t
enum class DescAttribute : int { transpose_a = 3, transpose_b = 4, epilogue = 7, bias_pointer = 8 };
enum class Epilogue : std::uint32_t { none = 1, bias = 4 };  // cublasLtEpilogue_t
enum class LayoutAttribute : int { batch_count = 5, strided_batch_offset = 6 };
enum class PreferenceAttribute : int {
  max_workspace_bytes = 1,
  reduction_schemes = 3,
  min_alignment_a = 5,  // bytes
  min_alignment_b = 6,
  min_alignment_c = 7,
  min_alignment_d = 8
};

struct Algorithm {  // cublasLtMatmulAlgo_t
  std::uint64_t data[8];
};

struct HeuristicResult {  // cublasLtMatmulHeuristicResult_t
  Algorithm algorithm;
  std::size_t workspace_bytes;
  Status state;
  float waves;
  int reserved[4];
};

/// The functions by the library's names without "cublasLt".
struct Functions {
  Status (*Create)(Handle*);
  Status (*Destroy)(Handle);
  std::size_t (*GetVersion)();
  Status (*MatmulDescCreate)(MatmulDesc*, ComputeType, DataType scale);
  Status (*MatmulDescDestroy)(MatmulDesc);
  Status (*MatmulDescSetAttribute)(MatmulDesc, DescAttribute, const void*, std::size_t);
  Status (*MatrixLayoutCreate)(Layout*, DataType, std::uint64_t rows, std::uint64_t cols,
                               std::int64_t ld);
  Status (*MatrixLayoutDestroy)(Layout);
  Status (*MatrixLayoutSetAttribute)(Layout, LayoutAttribute, const void*, std::size_t);
  Status (*MatmulPreferenceCreate)(Preference*);
  Status (*MatmulPreferenceDestroy)(Preference);
  Status (*MatmulPreferenceSetAttribute)(Preference, PreferenceAttribute, const void*, std::size_t);
  Status (*MatmulAlgoGetHeuristic)(Handle, MatmulDesc, Layout a, Layout b, Layout c, Layout d,
                                   Preference, int wanted, HeuristicResult*, int* found);
  Status (*Matmul)(Handle, MatmulDesc, const void* alpha, const void* a, Layout, const void* b,
                   Layout, const void* beta, const void* c, Layout, void* d, Layout,
                   const Algorithm*, void* workspace, std::size_t workspace_bytes, Stream);
};

}  // namespace headspark::cuda::lt
