// The table of translated kernels, and the program's own symbols, by which a kernel is found.
#include "cuda_emulation/ptx/kernels.h"

#include <elf.h>
#include <link.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <unordered_map>

#include "headspark/error.h"

namespace headspark::cuda_emulation::ptx {
namespace {

std::map<std::string, Kernel>& table() {
  static std::map<std::string, Kernel> kernels;
  return kernels;
}

/// Where the loader put this program.
std::uintptr_t program_base() {
  std::uintptr_t base = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<std::uintptr_t*>(to) = info->dlpi_addr;
        return 1;  // the program comes first
      },
      &base);
  return base;
}

/// Names of the program's functions by address: of those in anonymous namespaces too, which the
/// dynamic loader does not know.
std::unordered_map<std::uintptr_t, std::string> program_functions() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string elf{std::istreambuf_iterator<char>(file), {}};
  const auto at = [&](std::uint64_t offset) { return elf.data() + offset; };
  const auto* const header = reinterpret_cast<const Elf64_Ehdr*>(at(0));
  const auto* const sections = reinterpret_cast<const Elf64_Shdr*>(at(header->e_shoff));
  std::unordered_map<std::uintptr_t, std::string> names;
  for (int i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char* const strings = at(sections[sections[i].sh_link].sh_offset);
    const auto* const symbols = reinterpret_cast<const Elf64_Sym*>(at(sections[i].sh_offset));
    for (std::uint64_t s = 0; s < sections[i].sh_size / sizeof(Elf64_Sym); ++s) {
      if (ELF64_ST_TYPE(symbols[s].st_info) != STT_FUNC) continue;
      names.emplace(symbols[s].st_value, strings + symbols[s].st_name);
    }
  }
  return names;
}

std::string name_of(const void* address) {
  static const auto names = program_functions();
  static const std::uintptr_t base = program_base();
  const auto found = names.find(reinterpret_cast<std::uintptr_t>(address) - base);
  return found == names.end() ? "" : found->second;
}

const Kernel& find(const void* address) {
  const std::string name = name_of(address);
  const auto found = table().find(name);
  if (found != table().end()) return found->second;
  throw Error(ErrorCode::INTERNAL,
              "There is no PTX of the kernel \"" + name +
                  "\": it was translated from other sources than this program.");
}

}  // namespace

Registration::Registration(std::vector<Kernel> kernels) {
  for (Kernel& kernel : kernels) {
    const std::string name = kernel.name;
    if (!table().emplace(name, std::move(kernel)).second) {
      throw Error(ErrorCode::INTERNAL, "Two kernels are called " + name + ".");
    }
  }
}

const Kernel& kernel_at(const void* address, std::size_t parameter_bytes) {
  static std::mutex mutex;
  static std::unordered_map<const void*, const Kernel*> known;
  const std::lock_guard lock(mutex);
  const Kernel*& kernel = known[address];
  if (kernel == nullptr) kernel = &find(address);
  if (kernel->parameter_bytes != parameter_bytes) {
    throw Error(ErrorCode::INTERNAL, "nvcc gives the parameters of " + kernel->name + " " +
                                         std::to_string(kernel->parameter_bytes) +
                                         " bytes, the host's compiler " +
                                         std::to_string(parameter_bytes) + ".");
  }
  return *kernel;
}

}  // namespace headspark::cuda_emulation::ptx
