// Rows copied past the caches, on every level: all of them, and nothing beside them.
#include <doctest/doctest.h>

#include "cpu/kernel_table.h"
#include "op_suite.h"

namespace headspark::test {

TEST_CASE("copy_out copies rows that begin and end anywhere in a line") {
  Random random(8);
  constexpr std::int64_t kRows = 5;
  for (const Isa isa : cpu_levels()) {
    if (isa == Isa::specification) continue;
    const Context context = make_cpu_context(1, isa);
    const KernelTable& kernels = kernel_table(context);
    for (const std::int64_t count : {0, 1, 7, 15, 16, 17, 31, 48, 100}) {
      for (std::int64_t offset = 0; offset < 16; ++offset) {
        for (const std::int64_t gap : {0, 1, 12}) {  // floats between rows
          CAPTURE(std::string(isa_name(isa)));
          CAPTURE(count);
          CAPTURE(offset);
          CAPTURE(gap);
          const std::int64_t stride = count + gap;
          const std::vector<float> from = random.values(kRows * (count + 3));
          const GuardedArray untouched("to", offset + kRows * stride);
          GuardedArray to = untouched;
          kernels.copy_out({from.data(), count + 3, to.data() + offset, stride, kRows, count});
          std::vector<float> expected = untouched.values();
          for (std::int64_t row = 0; row < kRows; ++row) {
            std::copy_n(from.begin() + row * (count + 3), count,
                        expected.begin() + offset + row * stride);
          }
          check_same_bits("to", to.values(), expected);
          CHECK(to.guards_intact());
        }
      }
    }
  }
}

}  // namespace headspark::test
