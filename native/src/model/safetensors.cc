// Checks before use: no length, offset or shape of the file is trusted until it has been compared
// with the file's own size.
#include "model/safetensors.h"

#include <algorithm>

#include "headspark/error.h"
#include "model/json_input.h"

namespace headspark {
namespace {

constexpr std::size_t length_bytes = 8;
constexpr std::uint64_t max_header_bytes = 100'000'000;  // the reference implementation's cap
constexpr std::size_t max_dimensions = 8;

struct DTypeBits {
  const char* name;
  std::uint64_t bits;
};

constexpr DTypeBits known_dtypes[] = {
    {"BOOL", 8},    {"U8", 8},   {"I8", 8},   {"F8_E4M3", 8}, {"F8_E5M2", 8},
    {"F8_E8M0", 8}, {"I16", 16}, {"U16", 16}, {"F16", 16},    {"BF16", 16},
    {"I32", 32},    {"U32", 32}, {"F32", 32}, {"I64", 64},    {"U64", 64},
    {"F64", 64},    {"C64", 64}, {"F4", 4},   {"F6_E2M3", 6}, {"F6_E3M2", 6},
};

struct FileContext {
  const std::string& name;
  std::size_t data_begin = 0;
  std::size_t size = 0;

  [[noreturn]] void fail(const std::string& message) const {
    throw Error(ErrorCode::FILE_CORRUPT,
                name + ": " + message + "; the file is truncated or damaged, get it again.");
  }
  [[noreturn]] void fail(const TensorEntry& tensor, const std::string& message) const {
    fail("tensor " + quote(tensor.name) + " " + message);
  }
};

/// A non-negative integer that fits, or no value.
bool read_unsigned(const nlohmann::json& value, std::uint64_t& result) {
  if (!value.is_number_unsigned()) return false;
  result = value.get<std::uint64_t>();
  return true;
}

void read_shape(const nlohmann::json& json, const FileContext& file, TensorEntry& tensor) {
  const auto shape = json.find("shape");
  if (shape == json.end() || !shape->is_array() || shape->size() > max_dimensions) {
    file.fail(tensor, "has no valid shape");
  }
  std::uint64_t product = 1;
  for (const nlohmann::json& item : *shape) {
    std::uint64_t extent = 0;
    if (!read_unsigned(item, extent)) file.fail(tensor, "has a shape that is not made of sizes");
    // 2^48 elements are more than any file holds; dividing keeps the check itself in range.
    if (extent != 0 && product > (1ull << 48) / extent) {
      file.fail(tensor, "has a shape with more elements than a file can hold");
    }
    product *= extent;
    tensor.shape.push_back(static_cast<std::int64_t>(extent));
  }
}

void check_bytes(const FileContext& file, const TensorEntry& tensor) {
  for (const DTypeBits& dtype : known_dtypes) {
    if (tensor.dtype != dtype.name) continue;
    const std::uint64_t bits = static_cast<std::uint64_t>(tensor.elements()) * dtype.bits;
    if (bits % 8 != 0 || bits / 8 != tensor.end - tensor.begin) {
      file.fail(tensor, "has " + std::to_string(tensor.end - tensor.begin) +
                            " bytes, but its shape " + shape_text(tensor.shape) + " of " +
                            tensor.dtype + " needs " + std::to_string((bits + 7) / 8));
    }
  }
}

TensorEntry read_entry(const std::string& name, const nlohmann::json& json,
                       const FileContext& file) {
  TensorEntry tensor;
  tensor.name = name;
  if (!json.is_object()) file.fail(tensor, "is not described by an object");
  const auto dtype = json.find("dtype");
  if (dtype == json.end() || !dtype->is_string()) file.fail(tensor, "has no dtype");
  tensor.dtype = dtype->get<std::string>();
  read_shape(json, file, tensor);
  const auto offsets = json.find("data_offsets");
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  if (offsets == json.end() || !offsets->is_array() || offsets->size() != 2 ||
      !read_unsigned((*offsets)[0], begin) || !read_unsigned((*offsets)[1], end) || begin > end) {
    file.fail(tensor, "has no valid data_offsets");
  }
  const std::size_t available = file.size - file.data_begin;
  if (end > available) {
    file.fail(tensor, "ends at byte " + std::to_string(end) + " of the data, which has only " +
                          std::to_string(available));
  }
  tensor.begin = file.data_begin + static_cast<std::size_t>(begin);
  tensor.end = file.data_begin + static_cast<std::size_t>(end);
  check_bytes(file, tensor);
  return tensor;
}

void check_layout(const FileContext& file, const std::vector<TensorEntry>& tensors) {
  std::vector<const TensorEntry*> by_begin;
  for (const TensorEntry& tensor : tensors) by_begin.push_back(&tensor);
  std::sort(by_begin.begin(), by_begin.end(), [](const TensorEntry* a, const TensorEntry* b) {
    return a->begin != b->begin ? a->begin < b->begin : a->end < b->end;
  });
  std::size_t position = file.data_begin;
  for (const TensorEntry* tensor : by_begin) {
    if (tensor->begin < position) file.fail(*tensor, "overlaps another tensor");
    if (tensor->begin > position) file.fail(*tensor, "leaves unnamed bytes before it");
    position = tensor->end;
  }
  if (position != file.size) {
    file.fail("has " + std::to_string(file.size - position) + " bytes after its last tensor");
  }
}

}  // namespace

std::int64_t TensorEntry::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> bytes,
                                           const std::string& file_name) {
  FileContext file{file_name, length_bytes, bytes.size()};
  if (bytes.size() < length_bytes) file.fail("is shorter than a safetensors header");
  std::uint64_t header_bytes = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    header_bytes |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  }
  if (header_bytes > max_header_bytes || header_bytes > bytes.size() - length_bytes) {
    file.fail("says that its header has " + std::to_string(header_bytes) + " bytes, but the file " +
              "has " + std::to_string(bytes.size()) + " (and headers at most " +
              std::to_string(max_header_bytes) + ")");
  }
  file.data_begin = length_bytes + static_cast<std::size_t>(header_bytes);
  const nlohmann::json header =
      parse_json(bytes.subspan(length_bytes, static_cast<std::size_t>(header_bytes)),
                 file_name + " (header)", ErrorCode::FILE_CORRUPT);
  if (!header.is_object()) file.fail("has a header that is not an object");
  std::vector<TensorEntry> tensors;  // nlohmann's objects iterate in order of their names
  for (const auto& [name, description] : header.items()) {
    if (name == "__metadata__") continue;
    tensors.push_back(read_entry(name, description, file));
  }
  check_layout(file, tensors);
  return tensors;
}

}  // namespace headspark
