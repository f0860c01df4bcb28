// The one error vocabulary. Every failure that a caller can meet is an Error with one of these
// codes; the names equal the codes of the TypeScript side.
#pragma once

#include <stdexcept>
#include <string>

namespace headspark {

enum class ErrorCode {
  INVALID_ARGUMENT,
  FILE_NOT_FOUND,
  FILE_CORRUPT,
  FILE_CHANGED,
  FILE_WRITE,
  CONFIG,
  UNSUPPORTED_ARCHITECTURE,
  UNSUPPORTED_ADAPTER,
  TENSOR_MISSING,
  TENSOR_SHAPE,
  TENSOR_DTYPE,
  TENSOR_VALUE,
  PAIR_LENGTH,
  PAIR_FORMAT,
  CIRCUIT_FORMAT,
  SETTINGS_MISMATCH,
  TOKENIZER,
  DEVICE,
  OUT_OF_MEMORY,
  CANCELLED,
  NATIVE_LOAD,
  NETWORK,
  INTERNAL,
};

// "ERR_HEADSPARK_<enumerator>". The string is static.
const char* error_code_name(ErrorCode code) noexcept;

// The message is one sentence that names the file, option or tensor and says what to do.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace headspark
