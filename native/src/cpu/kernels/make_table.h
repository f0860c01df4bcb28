// One table from one Simd type: included by the three kernels_<level>.cc files.
#pragma once

#include "cpu/kernels/activation_kernel.h"
#include "cpu/kernels/contraction_kernel.h"
#include "cpu/kernels/gemm_kernel.h"
#include "cpu/kernels/paged_kernel.h"
#include "cpu/kernels/reduce_kernel.h"
#include "cpu/kernels/row_kernel.h"
#include "cpu/kernels/weighted_kernel.h"

namespace headspark {

template <typename S>
constexpr KernelTable make_table() {
  KernelTable table{};
  table.gemm = GemmKernel<S>::kernels();
  table.attention = table.gemm;
  table.pack_rows = GemmKernel<S>::pack_rows;
  table.expand_pairs = GemmKernel<S>::expand_pairs;
  table.expand_bf16 = GemmKernel<S>::expand_bf16;
  table.dot = ReduceKernel<S>::dot;
  table.largest = ReduceKernel<S>::largest;
  table.largest_number = ReduceKernel<S>::largest_number;
  table.largest_two = ReduceKernel<S>::largest_two;
  table.exp_in_place = ReduceKernel<S>::exp_in_place;
  table.sum_exp = ReduceKernel<S>::sum_exp;
  table.exp_range = ReduceKernel<S>::exp_range;
  table.attention_scores = ReduceKernel<S>::attention_scores;
  table.attention_gradients = ReduceKernel<S>::attention_gradients;
  table.contract = ContractionKernel<S>::contract;
  table.paged_scores = PagedKernel<S>::scores;
  table.paged_values = PagedKernel<S>::values;
  table.norm_forward = RowKernel<S>::norm_forward;
  table.norm_backward = RowKernel<S>::norm_backward;
  table.norm_moments = RowKernel<S>::norm_moments;
  table.pull_back = RowKernel<S>::pull_back;
  table.rotate = RowKernel<S>::rotate;
  // In the order of enum class Activation.
  table.activations[0] = ActivationKernel<S, Silu>::kernels();
  table.activations[1] = ActivationKernel<S, GeluTanh>::kernels();
  table.activations[2] = ActivationKernel<S, GeluErf>::kernels();
  table.activations[3] = ActivationKernel<S, Relu>::kernels();
  table.blend = RowKernel<S>::blend;
  table.combine = RowKernel<S>::combine;
  table.add_rows = RowKernel<S>::add_rows;
  table.copy_out = RowKernel<S>::copy_out;
  table.abs_sum = ReduceKernel<S>::abs_sum;
  table.abs_diff_sum = ReduceKernel<S>::abs_diff_sum;
  table.add_weighted_rows = WeightedKernel<S>::add_weighted_rows;
  return table;
}

}  // namespace headspark
