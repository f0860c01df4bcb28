// The header of one safetensors file (github.com/huggingface/safetensors, format section of its
// README): an 8-byte little-endian length, that many bytes of JSON, then the tensors' bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace headspark {

struct TensorEntry {
  std::string name;
  std::string dtype;  ///< as in the file: "BF16", "I64", …
  std::vector<std::int64_t> shape;
  std::size_t begin = 0;  ///< byte range within the file
  std::size_t end = 0;

  std::int64_t elements() const;
};

/// Entries sorted by name. The file is hostile: every range is inside it, ranges neither overlap
/// nor leave holes, and sizes equal shape x dtype. Error(FILE_CORRUPT) names the file and tensor.
std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> file,
                                           const std::string& file_name);

/// "[307, 96]", for messages.
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace headspark
