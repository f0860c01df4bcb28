// The safetensors header is hostile: each lie is refused by name.
#include <span>

#include "model/safetensors.h"
#include "model_files.h"

namespace headspark {
namespace {

using files::expect_error;
using files::raw_safetensors;

std::vector<TensorEntry> parse(const std::string& bytes) {
  return parse_safetensors(std::as_bytes(std::span(bytes.data(), bytes.size())), "x.safetensors");
}

void expect_corrupt(const std::string& bytes, const std::vector<std::string>& parts) {
  std::vector<std::string> all = parts;
  all.push_back("x.safetensors");
  expect_error(ErrorCode::FILE_CORRUPT, all, [&] { parse(bytes); });
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets,
                std::size_t bytes) {
  return raw_safetensors("{" + entry("a", dtype, shape, offsets) + "}", std::string(bytes, '\1'));
}

TEST_CASE("safetensors: a valid file") {
  const auto tensors = parse(raw_safetensors("{\"__metadata__\":{\"format\":\"pt\"}," +
                                                 entry("b", "BF16", "[2,3]", "[8,20]") + "," +
                                                 entry("a", "I64", "[]", "[0,8]") + "}",
                                             std::string(20, '\0')));
  REQUIRE(tensors.size() == 2);
  CHECK(tensors[0].name == "a");
  CHECK(tensors[0].elements() == 1);
  CHECK(tensors[1].name == "b");
  CHECK(tensors[1].shape == std::vector<std::int64_t>{2, 3});
  CHECK(tensors[1].end - tensors[1].begin == 12);
  CHECK(parse(raw_safetensors("{}", "")).empty());
  CHECK(parse(one("F4", "[2,2]", "[0,2]", 2)).size() == 1);
}

TEST_CASE("safetensors: lying or truncated headers") {
  expect_corrupt("", {"shorter"});
  expect_corrupt("1234567", {"shorter"});
  expect_corrupt(std::string(8, '\xff') + "{}", {"header"});
  expect_corrupt(std::string("\x03\0\0\0\0\0\0\0{}", 10), {"header"});
  expect_corrupt(raw_safetensors("{\"a\":", ""), {"JSON"});
  expect_corrupt(raw_safetensors("[]", ""), {"not an object"});
  expect_corrupt(raw_safetensors(std::string(64, '[') + std::string(64, ']'), ""), {"nested"});
  const std::string same = entry("a", "F32", "[1]", "[0,4]");
  expect_corrupt(raw_safetensors("{" + same + "," + same + "}", "1234"), {"\"a\"", "twice"});
}

TEST_CASE("safetensors: lying tensors") {
  expect_corrupt(one("F32", "[2]", "[0,8]", 4), {"\"a\"", "ends at byte 8", "only 4"});
  expect_corrupt(one("F32", "[2]", "[0,4]", 4), {"\"a\"", "needs 8"});
  expect_corrupt(one("F32", "[4294967296,4294967296]", "[0,4]", 4), {"\"a\"", "more elements"});
  expect_corrupt(one("F32", "[18446744073709551615]", "[0,4]", 4), {"\"a\"", "more elements"});
  expect_corrupt(one("F32", "[-1]", "[0,4]", 4), {"\"a\"", "shape"});
  expect_corrupt(one("F32", "[1.0]", "[0,4]", 4), {"\"a\"", "shape"});
  expect_corrupt(one("F32", "[1]", "[4,0]", 4), {"\"a\"", "data_offsets"});
  expect_corrupt(one("F32", "[1]", "[0]", 4), {"\"a\"", "data_offsets"});
  expect_corrupt(one("F32", "[1]", "[0,-4]", 4), {"\"a\"", "data_offsets"});
  expect_corrupt(one("F4", "[3]", "[0,1]", 1), {"\"a\"", "needs 2"});
  expect_corrupt(one("F32", "[1]", "[0,4]", 8), {"4 bytes after"});
  expect_corrupt(one("F32", "[1]", "[4,8]", 8), {"\"a\"", "unnamed bytes"});
  expect_corrupt(raw_safetensors("{\"a\":3}", ""), {"\"a\"", "object"});
  expect_corrupt(raw_safetensors("{" + entry("a", "F32", "[2]", "[0,8]") + "," +
                                     entry("b", "F32", "[2]", "[4,12]") + "}",
                                 std::string(12, '\1')),
                 {"\"b\"", "overlaps"});
}

}  // namespace
}  // namespace headspark
