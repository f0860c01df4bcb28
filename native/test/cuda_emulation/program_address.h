// Where in the program's file a piece of its code lies.
#pragma once

#include <string>

namespace headspark::cuda_emulation {

/// In hexadecimal, as addr2line wants it.
std::string in_program(const void* address);

}  // namespace headspark::cuda_emulation
