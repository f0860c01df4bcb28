// Fuzz target: the safetensors header parser. Every range it accepts is read to the last byte, so
// that a range outside the input is a sanitizer report.
#include "model/safetensors.h"

#include <cstdlib>

#include "headspark/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    unsigned sum = 0;
    std::size_t total = 0;
    for (const headspark::TensorEntry& tensor :
         headspark::parse_safetensors(bytes, "input.safetensors")) {
      if (tensor.begin > tensor.end || tensor.end > size || tensor.elements() < 0) std::abort();
      for (std::size_t i = tensor.begin; i < tensor.end; ++i) sum += data[i];
      total += tensor.end - tensor.begin;
    }
    if (total > size || (sum != 0 && total == 0)) std::abort();
  } catch (const headspark::Error& error) {
    if (error.code() != headspark::ErrorCode::FILE_CORRUPT) std::abort();
  }
  return 0;
}
