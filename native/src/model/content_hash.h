// A fast 128-bit content hash for telling checkpoints apart. Not cryptographic: it guards against
// mixing up files, not against somebody who constructs a collision.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace headspark {

using ContentHash = std::array<std::uint64_t, 2>;

/// Eight multiply-rotate lanes over 64-byte stripes (the construction of xxHash64,
/// github.com/Cyan4973/xxHash, widened), little-endian words, folded twice with different seeds.
ContentHash hash_bytes(std::span<const std::byte> bytes);

/// The hash of `bytes` in pieces of 4 MiB on two threads: hash of the pieces' hashes.
ContentHash hash_large(std::span<const std::byte> bytes);

/// Feeds one hash into another; order matters.
ContentHash combine_hashes(const ContentHash& first, const ContentHash& second);

ContentHash hash_text(const std::string& text);

/// 32 lower-case hexadecimal digits.
std::string hash_hex(const ContentHash& hash);

}  // namespace headspark
