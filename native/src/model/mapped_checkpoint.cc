// Shards are opened by plain file names only: an index cannot reach outside its folder.
#include "model/mapped_checkpoint.h"

#include <cstring>

#include "headspark/error.h"
#include "model/json_input.h"

namespace headspark {
namespace {

constexpr std::size_t max_json_bytes = 64'000'000;
constexpr std::size_t max_shards = 4096;

bool is_plain_file_name(const std::string& name) {
  return name.ends_with(".safetensors") && name.find('/') == std::string::npos &&
         name.find('\\') == std::string::npos && name.find('\0') == std::string::npos &&
         name.front() != '.';
}

std::map<std::string, std::vector<std::string>> read_weight_map(const MappedFile& file) {
  const nlohmann::json json = parse_json(file.bytes(), file.name(), ErrorCode::FILE_CORRUPT);
  const JsonObject index(json, file.name(), ErrorCode::FILE_CORRUPT);
  const nlohmann::json* weight_map = index.find("weight_map");
  if (weight_map == nullptr || !weight_map->is_object()) index.fail("\"weight_map\" is missing");
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& [tensor, shard] : weight_map->items()) {
    if (!shard.is_string()) index.fail("tensor " + quote(tensor) + " has no shard name");
    const auto& name = shard.get_ref<const std::string&>();
    if (!is_plain_file_name(name)) {
      index.fail("the shard name " + quote(name) + " of tensor " + quote(tensor) +
                 " is not a plain *.safetensors file name");
    }
    shards[name].push_back(tensor);
    if (shards.size() > max_shards) index.fail("more shards than any checkpoint has");
  }
  return shards;
}

}  // namespace

MappedFile map_json_file(const std::filesystem::path& path) {
  return MappedFile(path, max_json_bytes);
}

std::optional<DType> StoredTensor::dtype() const {
  if (entry.dtype == "F32") return DType::f32;
  if (entry.dtype == "F16") return DType::f16;
  if (entry.dtype == "BF16") return DType::bf16;
  return std::nullopt;
}

MappedCheckpoint::MappedCheckpoint(const std::filesystem::path& folder, const std::string& stem) {
  const std::filesystem::path single = folder / (stem + ".safetensors");
  const std::filesystem::path index = folder / (stem + ".safetensors.index.json");
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    name_ = single.string();
    const MappedFile& file = open(single);
    for (TensorEntry& entry : parse_safetensors(file.bytes(), file.name())) {
      add(file, std::move(entry));
    }
  } else if (std::filesystem::exists(index, ignored)) {
    name_ = index.string();
    open_shards(folder, index);
  } else {
    throw Error(ErrorCode::FILE_NOT_FOUND,
                single.string() + " does not exist (nor " + index.filename().string() +
                    "); give a folder with safetensors weights, and convert .bin or .gguf files.");
  }
}

void MappedCheckpoint::open_shards(const std::filesystem::path& folder,
                                   const std::filesystem::path& index) {
  const MappedFile index_file = map_json_file(index);
  for (const auto& [shard, names] : read_weight_map(index_file)) {
    const MappedFile& file = open(folder / shard);
    std::map<std::string, TensorEntry> entries;
    for (TensorEntry& entry : parse_safetensors(file.bytes(), file.name())) {
      entries.emplace(entry.name, std::move(entry));
    }
    for (const std::string& name : names) {
      const auto found = entries.find(name);
      if (found == entries.end()) {
        throw Error(ErrorCode::TENSOR_MISSING,
                    file.name() + " lacks the tensor " + quote(name) + " that " + name_ +
                        " says it has; get the shard and the index from the same place.");
      }
      add(file, std::move(found->second));
    }
  }
}

const MappedFile& MappedCheckpoint::open(const std::filesystem::path& path) {
  files_.push_back(std::make_unique<MappedFile>(path));
  return *files_.back();
}

void MappedCheckpoint::check_unchanged() const {
  for (const auto& file : files_) file->check_unchanged();
}

void MappedCheckpoint::add(const MappedFile& file, TensorEntry entry) {
  StoredTensor tensor;
  tensor.file = file.name();
  tensor.entry = std::move(entry);
  tensor.data = file.bytes().data() + tensor.entry.begin;
  const std::optional<DType> dtype = tensor.dtype();
  if (dtype && tensor.entry.begin % static_cast<std::size_t>(dtype_bytes(*dtype)) != 0) {
    auto copy = std::make_unique<std::byte[]>(tensor.bytes());
    std::memcpy(copy.get(), tensor.data, tensor.bytes());
    tensor.data = copy.get();
    aligned_copies_.push_back(std::move(copy));
  }
  std::string name = tensor.entry.name;
  tensors_.emplace(std::move(name), std::move(tensor));
}

const StoredTensor* MappedCheckpoint::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

std::int64_t MappedCheckpoint::bytes() const {
  std::int64_t total = 0;
  for (const auto& file : files_) total += static_cast<std::int64_t>(file->bytes().size());
  return total;
}

}  // namespace headspark
