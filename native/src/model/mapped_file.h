// One file, memory-mapped read-only for as long as the object lives (POSIX only, all of it here).
// A file that another process truncates while it is mapped raises SIGBUS, as with every mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace headspark {

class MappedFile {
 public:
  /// FILE_NOT_FOUND when there is no such regular file or it cannot be read, FILE_CORRUPT when it
  /// has more than max_bytes; both name the file.
  explicit MappedFile(const std::filesystem::path& path, std::size_t max_bytes = SIZE_MAX);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& name() const { return name_; }

 private:
  std::string name_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace headspark
