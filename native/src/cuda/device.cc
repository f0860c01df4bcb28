// Start, end, memory and records of a GPU.
#include "cuda/device.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>

#include "cuda/cublas_lt.h"
#include "device/memory_text.h"
#include "headspark/error.h"

namespace headspark::cuda {
namespace {

// The first generation with bf16 tensor cores and asynchronous copies.
constexpr int kLeastComputeMajor = 8;

thread_local bool records_here = false;

void refuse_in_record(const char* what) {
  if (!records_here) return;
  throw Error(ErrorCode::DEVICE,
              std::string("The work that is being recorded asks the device for ") + what + ".");
}

DeviceProperties checked_properties(int index) {
  std::string problem;
  const int count = device_count(problem);
  const std::string device = "CUDA device " + std::to_string(index);
  if (count < 0) {
    throw Error(ErrorCode::DEVICE, device + " was asked for, but no GPU is usable: " +
                                       unusable_text(problem) + "; use --device cpu.");
  }
  if (index < 0 || index >= count) {
    throw Error(ErrorCode::DEVICE, device + " was asked for, but this machine has " +
                                       std::to_string(count) +
                                       " GPU(s), counted from 0; see headspark doctor.");
  }
  DeviceProperties properties = device_properties(index);
  const std::string unusable = device_problem(properties);
  if (!unusable.empty()) {
    throw Error(ErrorCode::DEVICE, device + " (" + properties.name +
                                       ") cannot be used: " + unusable + " Use --device cpu.");
  }
  return properties;
}

}  // namespace

std::string cuda_version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string unusable_text(const std::string& problem) {
  const int driver = driver_version();
  if (driver == 0) return "no NVIDIA driver is installed";
  if (driver / 1000 >= runtime_version() / 1000) return problem;
  return "the driver is for CUDA " + cuda_version_text(driver) + " and this build for CUDA " +
         cuda_version_text(runtime_version()) +
         "; update the driver, or build with a toolkit that is no newer";
}

std::string device_problem(const DeviceProperties& properties) {
  if (properties.compute_major >= kLeastComputeMajor) return {};
  return "its compute capability is " + std::to_string(properties.compute_major) + "." +
         std::to_string(properties.compute_minor) + ", and 8.0 is the least.";
}

void enter_device(int index) {
  thread_local int current = -1;
  if (current == index) return;
  use_device(index);
  current = index;
}

std::shared_ptr<Device> Device::get(int index) {
  static std::mutex mutex;
  static std::map<int, std::weak_ptr<Device>> devices;
  const std::lock_guard lock(mutex);
  std::shared_ptr<Device> device = devices[index].lock();
  if (device == nullptr) {
    device = std::make_shared<Device>(index);
    devices[index] = device;
  }
  return device;
}

Device::Device(int index) : index_(index), properties_(checked_properties(index)), weights_(*this) {
  enter();
  make_branches(1);
}

Device::~Device() {
  try {
    enter();
    synchronize(stream());
  } catch (const Error&) {
    // A device that failed has nothing to wait for; its memory goes with the process.
  }
  products_.reset();
  for (const Branch& branch : branches_) {
    for (const Scratch& scratch : branch.scratch) pool_.release(scratch.memory);
    destroy_event(branch.event);
    destroy_stream(branch.stream);
  }
  weights_.clear();
}

std::string Device::name() const {
  return "cuda:" + std::to_string(index_) + " (" + properties_.name + ")";
}

std::int64_t Device::available_bytes() {
  enter();
  weights_.purge();
  return static_cast<std::int64_t>(memory_info().free_bytes) + pool_.bytes_cached();
}

void* Device::try_allocate(std::int64_t bytes) {
  refuse_in_record("memory");
  enter();
  void* memory = pool_.try_allocate(bytes);
  if (memory != nullptr) return memory;
  weights_.purge();  // models that were disposed make room
  return pool_.try_allocate(bytes);
}

std::string Device::usage() const {
  enter();
  const MemoryInfo info = memory_info();
  const auto total = static_cast<std::int64_t>(info.total_bytes);
  const auto taken = total - static_cast<std::int64_t>(info.free_bytes);
  const std::int64_t weights = weights_.bytes();
  const std::int64_t workspace = pool_.bytes_in_use() - weights;
  const std::int64_t others = taken - pool_.bytes_in_use() - pool_.bytes_cached();
  return "weights take " + memory_text(weights) + " and the workspace " + memory_text(workspace) +
         " there, everything else " + memory_text(std::max<std::int64_t>(others, 0)) + " of " +
         memory_text(total);
}

void* Device::allocate(std::int64_t bytes) {
  void* memory = try_allocate(bytes);
  if (memory != nullptr) return memory;
  throw Error(ErrorCode::OUT_OF_MEMORY, name() + " has no room for another " + memory_text(bytes) +
                                            ": " + usage() +
                                            "; use a device with more memory, or --device cpu.");
}

void Device::copy(void* device, const void* host, std::int64_t bytes) {
  refuse_in_record("a copy from the host");
  enter();
  if (!branches_at_work_) return staging_.copy(stream(), device, host, bytes);
  copy_to_device(stream(), device, host, bytes);
  synchronize(stream());
}

LtProducts* Device::products() {
  const CublasLt::Opened& library = CublasLt::get();
  if (products_ != nullptr || products_failed_ || !library.functions || !is_hardware()) {
    return products_.get();
  }
  enter();
  try {
    products_ = std::make_unique<LtProducts>(*library.functions, *this);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::DEVICE) throw;
    products_failed_ = true;
    std::fprintf(stderr, "headspark: %s: %s Own kernels compute matrix products, more slowly.\n",
                 library.path.c_str(), error.what());
  }
  return products_.get();
}

void* Device::scratch(ScratchSlot slot, std::int64_t bytes) {
  Scratch& scratch = branches_[branch_].scratch[static_cast<std::size_t>(slot)];
  if (bytes > scratch.bytes) {
    refuse_in_record("memory");
    if (scratch.memory != nullptr) ++scratch_moves_;
    const std::int64_t grown = std::max(bytes, scratch.bytes + scratch.bytes / 2);
    outgrown_.push_back(scratch.memory);
    if (!branches_at_work_) release_outgrown();
    scratch = {};
    void* memory = try_allocate(grown);
    scratch = {memory != nullptr ? memory : allocate(bytes), memory != nullptr ? grown : bytes};
  }
  return scratch.memory;
}

void Device::release_outgrown() {
  for (void* const memory : outgrown_) pool_.release(memory);
  outgrown_.clear();
}

// Streams are made when nothing is recorded: what is recorded ran before.
void Device::make_branches(std::size_t count) {
  while (branches_.size() < count) {
    refuse_in_record("a stream");
    Branch branch;
    branch.event = create_event();
    branch.stream = create_stream();
    branches_.push_back(branch);
  }
}

void Device::join_branches(std::size_t count) {
  branch_ = 0;
  branches_at_work_ = false;
  for (std::size_t i = 1; i < count; ++i) {
    wait_for(stream(), branches_[i].stream, branches_[i].event);
  }
  release_outgrown();
}

void Device::side_by_side(std::span<const std::function<void()>> works) {
  if (branches_at_work_ || works.size() < 2) {  // a branch has none of its own
    for (const auto& work : works) work();
    return;
  }
  enter();
  const std::size_t count = works.size();
  make_branches(count);
  for (std::size_t i = 1; i < count; ++i) {
    wait_for(branches_[i].stream, stream(), branches_[i].event);
  }
  branches_at_work_ = true;
  try {
    for (branch_ = 0; branch_ < count; ++branch_) works[branch_]();
  } catch (...) {
    join_branches(count);
    throw;
  }
  join_branches(count);
}

void Device::begin_record() {
  enter();
  begin_capture(stream());
  records_here = true;
}

Graph Device::end_record() {
  records_here = false;
  return end_capture(stream());
}

void Device::abandon_record() noexcept {
  records_here = false;
  abandon_capture(stream());
}

}  // namespace headspark::cuda
