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

/// Linux and macOS name it differently.
timespec modification_time(const struct stat& status) {
#ifdef __APPLE__
  return status.st_mtimespec;
#else
  return status.st_mtim;
#endif
}

struct Descriptor {
  int value = -1;
  ~Descriptor() {
    if (value >= 0) close(value);
  }
};

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path, std::size_t max_bytes)
    : name_(path.string()), path_(std::filesystem::absolute(path)) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.value < 0) fail(name_, std::strerror(errno));
  struct stat status;
  if (fstat(file.value, &status) != 0) fail(name_, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail(name_, "it is not a regular file");
  device_ = static_cast<std::uint64_t>(status.st_dev);
  inode_ = static_cast<std::uint64_t>(status.st_ino);
  modified_ = modification_time(status);
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > max_bytes) {
    throw Error(ErrorCode::FILE_CORRUPT, name_ + " has " + std::to_string(size_) +
                                             " bytes, more than a file of this kind can have.");
  }
  if (size_ == 0) return;  // mmap refuses empty mappings
  void* mapping = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.value, 0);
  if (mapping == MAP_FAILED) fail(name_, std::strerror(errno));
  data_ = static_cast<const std::byte*>(mapping);
  faults_ = std::make_unique<ReadFaults>(data_, size_);
}

void MappedFile::check_unchanged() const {
  if (faults_ && faults_->faulted()) {
    throw Error(ErrorCode::FILE_CHANGED,
                name_ +
                    " was cut short, or could not be read, while it was in use; run again when " +
                    "it is whole.");
  }
  struct stat now;
  if (stat(path_.c_str(), &now) != 0) return;
  const bool same_file = static_cast<std::uint64_t>(now.st_dev) == device_ &&
                         static_cast<std::uint64_t>(now.st_ino) == inode_;
  if (!same_file) return;
  const timespec modified = modification_time(now);
  const bool unchanged = static_cast<std::size_t>(now.st_size) == size_ &&
                         modified.tv_sec == modified_.tv_sec &&
                         modified.tv_nsec == modified_.tv_nsec;
  if (unchanged) return;
  throw Error(ErrorCode::FILE_CHANGED,
              name_ +
                  " was written to while it was in use, so what was computed is of no one model; " +
                  "run again when it is whole (writers that rename a new file into place disturb " +
                  "nobody).");
}

MappedFile::~MappedFile() {
  faults_.reset();
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace headspark
