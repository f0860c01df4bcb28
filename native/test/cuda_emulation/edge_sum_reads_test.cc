// Which differences a sum of edges reads on a GPU.
#include <doctest/doctest.h>

#include "cuda_emulation/read_watch.h"
#include "headspark/buffer.h"
#include "headspark/ops/edge_sum.h"
#include "op_suite.h"

namespace headspark::test {

TEST_CASE("edge_sum reads a difference once for each 32 destinations that have an edge from it") {
  constexpr std::int64_t kSources = 140;
  constexpr std::int64_t kDestinations = 40;
  constexpr std::int64_t kLength = 300;
  std::vector<std::uint8_t> edges(static_cast<std::size_t>(kSources * kDestinations), 0);
  const auto add = [&](std::int64_t u, std::int64_t v) {
    edges[static_cast<std::size_t>(u * kDestinations + v)] = 1;
  };
  add(3, 0);
  add(3, 31);
  add(5, 32);
  add(139, 7);
  add(139, 39);
  Context context = make_cpu_context(1, default_isa());
  context.backend = make_cuda_backend(0);
  const Buffer<std::uint8_t> mask(context.backend, std::span<const std::uint8_t>(edges));
  const std::vector<float> values = Random(1).values(kSources * kLength);
  const Buffer<float> difference(context.backend, std::span<const float>(values));
  Buffer<float> y(context.backend, kDestinations * kLength);
  y.zero();
  cuda_emulation::ReadWatch watch;
  for (std::int64_t u = 0; u < kSources; ++u) watch.add(difference.data() + u * kLength, kLength);
  edge_sum(context, {.sources = kSources,
                     .destinations = kDestinations,
                     .length = kLength,
                     .mask = mask.data(),
                     .mask_stride = kDestinations,
                     .difference = difference.data(),
                     .difference_stride = kLength,
                     .y = y.data(),
                     .y_stride = kLength});
  for (std::int64_t u = 0; u < kSources; ++u) {
    const std::int64_t times = u == 139 ? 2 : u == 3 || u == 5 ? 1 : 0;
    CHECK(watch.bytes(difference.data() + u * kLength) == times * kLength * 4);
  }
}

}  // namespace headspark::test
