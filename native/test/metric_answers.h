// The answers of three rows over a vocabulary of 9, for the metrics' tests.
#pragma once

#include <cstdint>
#include <vector>

namespace headspark::test {

inline const std::vector<std::int32_t> kCorrect{3, 1, 8, 8, 0, 5};
inline const std::vector<std::int32_t> kCorrectBegin{0, 1, 3, 6};
inline const std::vector<std::int32_t> kIncorrect{2, 4, 3, 1};
inline const std::vector<std::int32_t> kIncorrectBegin{0, 2, 4, 4};  // the last row has none

}  // namespace headspark::test
