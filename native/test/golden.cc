// Only as much of the .npy format as numpy.save writes for float arrays.
#include "golden.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <sstream>
#include <stdexcept>

namespace headspark::golden {
namespace {

std::string read_file(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + file.string());
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::vector<std::int64_t> parse_shape(const std::string& header) {
  const std::size_t open = header.find('(', header.find("'shape'"));
  const std::size_t close = header.find(')', open);
  std::vector<std::int64_t> shape;
  std::istringstream list(header.substr(open + 1, close - open - 1));
  for (std::string part; std::getline(list, part, ',');) {
    if (part.find_first_of("0123456789") != std::string::npos) shape.push_back(std::stoll(part));
  }
  return shape;
}

std::vector<std::int32_t> tokens(const nlohmann::json& value) {
  if (value.is_number()) return {value.get<std::int32_t>()};
  return value.get<std::vector<std::int32_t>>();
}

}  // namespace

Array read_npy(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  std::uint16_t header_length = 0;
  std::memcpy(&header_length, bytes.data() + 8, 2);
  const std::string header = bytes.substr(10, header_length);
  Array array;
  array.shape = parse_shape(header);
  std::size_t count = 1;
  for (const std::int64_t size : array.shape) count *= static_cast<std::size_t>(size);
  const char* data = bytes.data() + 10 + header_length;
  array.values.resize(count);
  if (header.find("<f4") != std::string::npos) {
    std::memcpy(array.values.data(), data, count * 4);
  } else if (header.find("<f8") != std::string::npos) {
    std::vector<double> wide(count);
    std::memcpy(wide.data(), data, count * 8);
    for (std::size_t i = 0; i < count; ++i) array.values[i] = static_cast<float>(wide[i]);
  } else {
    throw std::runtime_error("unexpected dtype in " + file.string());
  }
  return array;
}

nlohmann::json read_json(const std::filesystem::path& file) {
  return nlohmann::json::parse(read_file(file));
}

std::vector<Pair> read_pairs(const std::filesystem::path& file) {
  std::istringstream lines(read_file(file));
  std::vector<Pair> pairs;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    const nlohmann::json json = nlohmann::json::parse(line);
    Pair pair;
    pair.clean = tokens(json.at("clean"));
    pair.corrupted = tokens(json.at("corrupted"));
    pair.correct = tokens(json.at("correct"));
    pair.incorrect = tokens(json.at("incorrect"));
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::filesystem::path shared_folder() {
  const char* named = std::getenv("HEADSPARK_SHARED");
  const std::filesystem::path folder =
      named != nullptr ? std::filesystem::path(named) : source_folder() / ".." / "shared";
  return std::filesystem::is_directory(folder) ? folder : std::filesystem::path();
}

double max_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::fabs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= largest)) largest = difference;
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
  }
  return largest;
}

}  // namespace headspark::golden
