// Finding the array that a read falls into.
#include "cuda_emulation/read_watch.h"

namespace headspark::cuda_emulation {
namespace {

ReadWatch* current = nullptr;

}  // namespace

ReadWatch::ReadWatch() {
  current = this;
}

ReadWatch::~ReadWatch() {
  current = nullptr;
}

void ReadWatch::add(const float* begin, std::int64_t floats) {
  arrays_[begin] = {floats, 0};
}

void ReadWatch::note(const float* p, std::int64_t bytes) {
  if (current == nullptr) return;
  auto found = current->arrays_.upper_bound(p);
  if (found == current->arrays_.begin()) return;
  --found;
  if (p < found->first + found->second.floats) found->second.read += bytes;
}

}  // namespace headspark::cuda_emulation
