// From the addresses of a warp to sectors and wavefronts.
#include "cuda_emulation/access_counts.h"

#include <algorithm>
#include <functional>
#include <span>

#include "cuda_emulation/runtime_emulated.h"

namespace headspark::cuda_emulation {
namespace {

constexpr std::uintptr_t kSector = 32;
constexpr std::uintptr_t kBankBytes = 4;
constexpr std::uintptr_t kBanks = 32;
constexpr std::uintptr_t kWavefront = kBanks * kBankBytes;

std::int64_t rounded_up(std::size_t bytes, std::uintptr_t unit) {
  return static_cast<std::int64_t>((bytes + unit - 1) / unit);
}

// The different units of `size` bytes that the spans reach.
template <typename Spans>
std::vector<std::uintptr_t> units_of(const Spans& spans, std::uintptr_t size) {
  std::vector<std::uintptr_t> units;
  for (const auto& span : spans) {
    if (span.bytes == 0) continue;
    for (std::uintptr_t u = span.begin / size; u <= (span.begin + span.bytes - 1) / size; ++u) {
      units.push_back(u);
    }
  }
  std::sort(units.begin(), units.end());
  units.erase(std::unique(units.begin(), units.end()), units.end());
  return units;
}

// Wavefronts of lanes that the hardware serves together: as many as the busiest bank has words.
template <typename Spans>
std::int64_t wavefronts(const Spans& spans) {
  std::array<std::int64_t, kBanks> words = {};
  for (const std::uintptr_t word : units_of(spans, kBankBytes)) ++words[word % kBanks];
  return *std::max_element(words.begin(), words.end());
}

}  // namespace

std::size_t AccessCounts::Hash::operator()(const Execution& e) const {
  return std::hash<const void*>()(e.site.caller) * 31 + static_cast<std::size_t>(e.number) * 4 +
         (e.site.shared ? 2 : 0) + (e.site.write ? 1 : 0);
}

void AccessCounts::launch_begins(const void* kernel, const cuda::LaunchShape& shape) {
  kernel_ = &kernels_[kernel];
  shape_ = shape;
  ++kernel_->launches;
  kernel_->shared_bytes = shape.shared_bytes;
  warps_.assign(static_cast<std::size_t>(shape.threads / kWarpLanes), {});
  launch_sectors_.clear();
}

void AccessCounts::launch_ends() {
  kernel_->launch_sectors += static_cast<std::int64_t>(launch_sectors_.size());
  kernel_ = nullptr;
}

void AccessCounts::block_begins(const unsigned char* shared) {
  ++kernel_->blocks;
  shared_ = reinterpret_cast<std::uintptr_t>(shared);
  block_reads_.clear();
}

void AccessCounts::block_ends() {
  block_met();
  kernel_->block_sectors += static_cast<std::int64_t>(block_reads_.size());
}

void AccessCounts::block_met() {
  for (std::size_t warp = 0; warp < warps_.size(); ++warp) warp_met(static_cast<int>(warp));
}

void AccessCounts::warp_met(int warp) {
  Warp& met = warps_[static_cast<std::size_t>(warp)];
  for (const auto& [execution, lanes] : met.executions) count(execution.site, lanes);
  met.executions.clear();
  for (auto& numbers : met.numbers) numbers.clear();
}

void AccessCounts::product() {
  ++kernel_->products;
}

void AccessCounts::matrix_row(int thread, std::size_t offset, const void* caller) {
  note(thread, {caller, true, false}, {shared_ + offset, 16});
}

void AccessCounts::copy(int thread, std::size_t offset, const void* source, std::size_t bytes,
                        const void* caller) {
  note(thread, {caller, true, true}, {shared_ + offset, bytes});
  note(thread, {caller, false, false}, {reinterpret_cast<std::uintptr_t>(source), bytes});
}

void AccessCounts::access(int thread, const void* address, std::size_t bytes, bool write,
                          const void* caller) {
  if (kernel_ == nullptr) return;
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  const bool shared = begin - shared_ < static_cast<std::uintptr_t>(shape_.shared_bytes);
  if (!shared && !cuda::is_emulated_memory(begin)) return;
  note(thread, {caller, shared, write}, {begin, bytes});
}

void AccessCounts::note(int thread, const KernelCounts::Site& site, const Span& span) {
  Warp& warp = warps_[static_cast<std::size_t>(thread / kWarpLanes)];
  const auto lane = static_cast<std::size_t>(thread % kWarpLanes);
  warp.executions[{site, warp.numbers[lane][site]++}][lane] = span;
}

void AccessCounts::count(const KernelCounts::Site& site, const Lanes& lanes) {
  SiteCounts& counts = kernel_->sites[site];
  const auto bytes = units_of(lanes, 1).size();
  const auto active = [](const Span& span) { return span.bytes > 0; };
  ++counts.warps;
  counts.lanes += std::count_if(lanes.begin(), lanes.end(), active);
  counts.bytes += static_cast<std::int64_t>(bytes);
  if (site.shared) {
    counts.needed += rounded_up(bytes, kWavefront);
    // 8 and 16 bytes a lane are served by halves and quarters of a warp.
    std::uintptr_t widest = kBankBytes;
    for (const Span& span : lanes) widest = std::max(widest, span.bytes);
    const auto together = static_cast<std::size_t>(kWavefront / widest);
    for (std::size_t first = 0; first < lanes.size(); first += together) {
      counts.units += wavefronts(std::span(lanes).subspan(first, together));
    }
    return;
  }
  const std::vector<std::uintptr_t> sectors = units_of(lanes, kSector);
  counts.units += static_cast<std::int64_t>(sectors.size());
  counts.needed += rounded_up(bytes, kSector);
  launch_sectors_.insert(sectors.begin(), sectors.end());
  if (!site.write) block_reads_.insert(sectors.begin(), sectors.end());
}

}  // namespace headspark::cuda_emulation
