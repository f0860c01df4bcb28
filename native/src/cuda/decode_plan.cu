// A warp has a row in a split of a layer, and compares it with all rows before it, 32 at a time;
// then one of each group finds what all of it has in common.
#include "cuda/decode_plan.h"

namespace headspark::cuda {
namespace {

constexpr int kPlanThreads = 128;

using LayerPlan = PlanArrays<std::int32_t>;

HEADSPARK_DEVICE float* page_of(const PagedRows& rows, std::int32_t row, int page) {
  return rows.pages[rows.page_begin[row] + page];
}

/// The row's first page of the split; null: it has none, or is no decode.
HEADSPARK_DEVICE const float* first_page(const PagedRows& rows, int split, std::int32_t row) {
  const bool reads = decode_position(rows.layout, row) >= split * kSplitKeys;
  return reads ? page_of(rows, row, split * kSplitPages) : nullptr;
}

// Pages of the split whose 32 tokens were there before this step: its own are stored meanwhile.
HEADSPARK_DEVICE int whole_pages(const PagedRows& rows, std::int32_t row, int split) {
  const int pages =
      decode_position(rows.layout, row) / static_cast<int>(kKvPageTokens) - split * kSplitPages;
  if (pages < 0) return 0;
  return pages < kSplitPages ? pages : kSplitPages;
}

// Pages of the split, from its first on, that are whole and the same for both rows. A warp's work.
HEADSPARK_DEVICE int common_pages(const PagedRows& rows, int split, std::int32_t a,
                                  std::int32_t b) {
  const int page = lane_index();
  const bool same =
      page < whole_pages(rows, a, split) && page < whole_pages(rows, b, split) &&
      page_of(rows, a, split * kSplitPages + page) == page_of(rows, b, split * kSplitPages + page);
  const unsigned mask = ballot(same);
  return count_bits(mask & ~(mask + 1));  // the ones below its first zero
}

// The row's group and its place there; plan.shared is what it has in common with the leader.
HEADSPARK_DEVICE void find_leader(const LayerPlan& plan, int split, std::int32_t row) {
  const float* const first = first_page(plan.rows, split, row);
  std::int32_t leader = -1;
  std::int32_t rank = 0;
  for (std::int32_t begin = 0; begin <= row && first != nullptr; begin += 32) {
    const std::int32_t other = begin + lane_index();
    const unsigned mask = ballot(other <= row && first_page(plan.rows, split, other) == first);
    if (leader < 0 && mask != 0) leader = begin + count_bits((mask & (0u - mask)) - 1);
    rank += count_bits(mask);
  }
  const int shared = leader < 0 ? 0 : common_pages(plan.rows, split, leader, row);
  if (lane_index() > 0) return;
  plan.leader[plan.at(split, row)] = leader;
  plan.rank[plan.at(split, row)] = rank - 1;
  plan.shared[plan.at(split, row)] = shared;
}

// What all rows of the leader's group have in common; 0 where it has no other.
HEADSPARK_DEVICE void share_among(const LayerPlan& plan, int split, std::int32_t leader) {
  const std::int32_t rows = plan.rows.layout.rows;
  int shared = kSplitPages;
  int members = 0;
  for (std::int32_t begin = leader; begin < rows; begin += 32) {
    const std::int32_t row = begin + lane_index();
    const bool member = row < rows && plan.leader[plan.at(split, row)] == leader;
    members += count_bits(ballot(member));
    if (member && plan.shared[plan.at(split, row)] < shared) {
      shared = plan.shared[plan.at(split, row)];
    }
  }
  for (int mask = 16; mask > 0; mask /= 2) {
    const int other = shuffle_xor(shared, mask);
    shared = other < shared ? other : shared;
  }
  if (members == 1) shared = 0;
  // Each lane writes what it has read: no other does either.
  for (std::int32_t begin = leader; begin < rows; begin += 32) {
    const std::int32_t row = begin + lane_index();
    if (row < rows && plan.leader[plan.at(split, row)] == leader) {
      plan.shared[plan.at(split, row)] = shared;
    }
  }
}

/// The row of this warp; past the last one there is none.
HEADSPARK_DEVICE std::int32_t own_row() {
  return block_x() * (kPlanThreads / 32) + warp_index();
}

HEADSPARK_KERNEL(kPlanThreads) leaders_kernel(PlannedLayers layers) {
  const std::int32_t row = own_row();
  if (row < layers.first.layout.rows) find_leader(layers.layer(block_z()), block_y(), row);
}

HEADSPARK_KERNEL(kPlanThreads) common_pages_kernel(PlannedLayers layers) {
  const LayerPlan plan = layers.layer(block_z());
  const std::int32_t row = own_row();
  if (row >= plan.rows.layout.rows || plan.leader[plan.at(block_y(), row)] != row) return;
  share_among(plan, block_y(), row);
}

}  // namespace

void plan_decode(OpDevice& device, const PlannedLayers& layers) {
  const RowLayout& layout = layers.first.layout;
  const LaunchShape shape{
      {blocks_for(layout.rows, kPlanThreads / 32), blocks_for(splits_of(layout.longest_context), 1),
       blocks_for(layers.layers, 1)},
      kPlanThreads};
  launch(device.stream(), shape, &leaders_kernel, layers);
  launch(device.stream(), shape, &common_pages_kernel, layers);
}

DecodePlan plan_decode(OpDevice& device, const PagedRows& rows) {
  const std::int64_t size = decode_plan_size(rows.layout.rows, rows.layout.longest_context);
  auto* const memory = static_cast<std::int32_t*>(device.scratch(
      ScratchSlot::attention_plan, size * static_cast<std::int64_t>(sizeof(std::int32_t))));
  plan_decode(device, PlannedLayers{.first = rows, .memory = memory});
  return plan_at<const std::int32_t>(rows, memory);
}

}  // namespace headspark::cuda
