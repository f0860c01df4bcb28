// One stripe is eight independent lanes, so that multiplications overlap and the memory, not the
// arithmetic, is the limit.
#include "model/content_hash.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "headspark/thread_pool.h"

namespace headspark {
namespace {

constexpr std::uint64_t prime1 = 0x9e3779b185ebca87ull;  // xxHash64's primes
constexpr std::uint64_t prime2 = 0xc2b2ae3d27d4eb4full;
constexpr std::uint64_t prime3 = 0x165667b19e3779f9ull;
constexpr std::size_t kLanes = 8;
constexpr std::size_t stripe_bytes = kLanes * sizeof(std::uint64_t);
constexpr std::size_t hashed_bytes = 4 << 20;

std::uint64_t read_word(const std::byte* data) {
  std::uint64_t word;
  std::memcpy(&word, data, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  return word;
}

std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  return std::rotl(state + word * prime2, 31) * prime1;
}

std::uint64_t avalanche(std::uint64_t hash) {
  hash = (hash ^ (hash >> 33)) * prime2;
  hash = (hash ^ (hash >> 29)) * prime3;
  return hash ^ (hash >> 32);
}

void add_stripe(std::array<std::uint64_t, kLanes>& state, const std::byte* data) {
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    state[lane] = mix(state[lane], read_word(data + lane * sizeof(std::uint64_t)));
  }
}

}  // namespace

ContentHash hash_bytes(std::span<const std::byte> bytes) {
  std::array<std::uint64_t, kLanes> state;
  for (std::size_t lane = 0; lane < kLanes; ++lane) state[lane] = prime3 * (lane + 1);
  std::size_t position = 0;
  for (; position + stripe_bytes <= bytes.size(); position += stripe_bytes) {
    add_stripe(state, bytes.data() + position);
  }
  if (position < bytes.size()) {
    std::array<std::byte, stripe_bytes> tail{};  // zeros; the length below tells them from data
    std::memcpy(tail.data(), bytes.data() + position, bytes.size() - position);
    add_stripe(state, tail.data());
  }
  ContentHash hash = {prime1 ^ bytes.size(), prime2 + bytes.size()};
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    hash[0] = mix(hash[0], avalanche(state[lane]));
    hash[1] = mix(hash[1], avalanche(std::rotl(state[kLanes - 1 - lane], 23)));
  }
  return {avalanche(hash[0]), avalanche(hash[1])};
}

ContentHash combine_hashes(const ContentHash& first, const ContentHash& second) {
  const std::uint64_t words[] = {first[0], first[1], second[0], second[1]};
  std::array<std::byte, sizeof words> bytes;
  for (std::size_t i = 0; i < 32; ++i) {
    bytes[i] = static_cast<std::byte>(words[i / 8] >> (8 * (i % 8)) & 0xff);
  }
  return hash_bytes(bytes);
}

ContentHash hash_text(const std::string& text) {
  return hash_bytes(std::as_bytes(std::span(text.data(), text.size())));
}

ContentHash hash_large(std::span<const std::byte> bytes) {
  if (bytes.size() <= hashed_bytes) return hash_bytes(bytes);
  const std::size_t pieces = (bytes.size() + hashed_bytes - 1) / hashed_bytes;
  std::vector<ContentHash> hashes(pieces);
  ThreadPool pool(2);
  pool.parallel_for(
      static_cast<std::int64_t>(pieces), 1, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
          const std::size_t from = i * hashed_bytes;
          hashes[i] = hash_bytes(bytes.subspan(from, std::min(hashed_bytes, bytes.size() - from)));
        }
      });
  ContentHash result = hashes[0];
  for (std::size_t i = 1; i < pieces; ++i) result = combine_hashes(result, hashes[i]);
  return result;
}

std::string hash_hex(const ContentHash& hash) {
  const char* digits = "0123456789abcdef";
  std::string text;
  for (const std::uint64_t word : hash) {
    for (int shift = 60; shift >= 0; shift -= 4) text += digits[word >> shift & 15];
  }
  return text;
}

}  // namespace headspark
