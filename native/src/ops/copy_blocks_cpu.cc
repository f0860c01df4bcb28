// Specification: to[i][j] = from[i][j]. Long blocks are cut, so that few of them keep all threads
// busy.
#include <algorithm>
#include <cstring>

#include "ops/backends.h"

namespace headspark {

void copy_blocks_cpu(const Context& context, const CopyBlocks& p) {
  constexpr std::int64_t kPiece = 8192;  // 32 KB
  const std::int64_t pieces = (p.width + kPiece - 1) / kPiece;
  const std::int64_t grain = std::max<std::int64_t>(1, kPiece / p.width);
  context.threads->parallel_for(p.count * pieces, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      const std::int64_t block = piece / pieces;
      const std::int64_t first = piece % pieces * kPiece;
      const std::int64_t width = std::min(kPiece, p.width - first);
      std::memcpy(p.to[block] + first, p.from[block] + first,
                  static_cast<std::size_t>(width) * sizeof(float));
    }
  });
}

}  // namespace headspark
