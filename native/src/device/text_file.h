// Small readers for /proc and /sys: the first line, a number, or nothing. Never throws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace headspark {

std::optional<std::string> read_line(const std::string& path);

// Digits only. "max", "-1", a missing or an odd file are all nothing.
std::optional<std::uint64_t> read_number(const std::string& path);
std::optional<std::uint64_t> parse_number(const std::string& text);

}  // namespace headspark
