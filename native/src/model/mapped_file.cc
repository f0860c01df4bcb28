// open + fstat + mmap. Non-regular files are refused before anything could block on them.
#include "model/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "headspark/error.h"

namespace headspark {
namespace {

[[noreturn]] void fail(const std::string& name, const std::string& why) {
  throw Error(ErrorCode::FILE_NOT_FOUND, name + " cannot be read: " + why + ".");
}

struct Descriptor {
  int value = -1;
  ~Descriptor() {
    if (value >= 0) close(value);
  }
};

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path, std::size_t max_bytes)
    : name_(path.string()) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) fail(name_, std::strerror(errno));
  struct stat status;
  if (fstat(file.value, &status) != 0) fail(name_, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(name_, "it is not a regular file");
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > max_bytes) {
    throw Error(ErrorCode::FILE_CORRUPT, name_ + " has " + std::to_string(size_) +
                                             " bytes, more than a file of this kind can have.");
  }
  if (size_ == 0) return;  // mmap refuses empty mappings
  void* mapping = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (mapping == MAP_FAILED) fail(name_, std::strerror(errno));
  data_ = static_cast<const std::byte*>(mapping);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace headspark
