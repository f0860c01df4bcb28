// One file, memory-mapped read-only for as long as the object lives (POSIX only, all of it here).
// What another process writes into the file meanwhile may or may not be seen, as with every
// mapping; check_unchanged() tells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "model/read_faults.h"

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

  /// FILE_CHANGED when the file was written to since it was mapped, or could not be read. One that
  /// another file took the place of, or that was deleted, stays as it was.
  void check_unchanged() const;

 private:
  std::uint64_t device_ = 0;
  std::uint64_t inode_ = 0;
  timespec modified_ = {};
  std::string name_;
  std::filesystem::path path_;  ///< absolute
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::unique_ptr<ReadFaults> faults_;
};

}  // namespace headspark
