// The one file that knows where the repository lies: the others compile alike in every checkout, so
// that a compiler cache serves them all.
#include "golden.h"

namespace headspark::golden {

std::filesystem::path source_folder() {
  return HEADSPARK_SOURCE_DIR;
}

}  // namespace headspark::golden
