// The tensors of one folder, single file or shards, found by name. Nothing is copied, except a
// tensor that does not lie on a multiple of its element size (old writers did not pad the header).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "headspark/dtype.h"
#include "model/content_hash.h"
#include "model/mapped_file.h"
#include "model/safetensors.h"

namespace headspark {

struct StoredTensor {
  TensorEntry entry;
  std::string file;                 ///< for messages
  const std::byte* data = nullptr;  ///< aligned to its element size

  std::size_t bytes() const { return entry.end - entry.begin; }
  /// f32, f16 or bf16; no value for any other type.
  std::optional<DType> dtype() const;
};

class MappedCheckpoint {
 public:
  /// Opens folder/<stem>.safetensors, or the shards of folder/<stem>.safetensors.index.json.
  /// FILE_NOT_FOUND, FILE_CORRUPT or TENSOR_MISSING (a shard without a tensor the index gives it).
  MappedCheckpoint(const std::filesystem::path& folder, const std::string& stem);

  const StoredTensor* find(const std::string& name) const;
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  std::int64_t bytes() const;

  /// The tensors that a model reads, in the order in which it took them.
  void set_used(std::vector<const StoredTensor*> used) { used_ = std::move(used); }
  const std::vector<const StoredTensor*>& used() const { return used_; }

  /// FILE_CHANGED as MappedFile says it, of any of the files.
  void check_unchanged() const;

  /// Hash of the used tensors' names, types, shapes and bytes, computed on the first call.
  ContentHash content_hash() const;
  /// The single file, or the index of the shards: where an absent tensor would be.
  const std::string& name() const { return name_; }

 private:
  const MappedFile& open(const std::filesystem::path& path);
  void add(const MappedFile& file, TensorEntry entry);
  void open_shards(const std::filesystem::path& folder, const std::filesystem::path& index);

  std::string name_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, StoredTensor> tensors_;
  std::vector<std::unique_ptr<std::byte[]>> aligned_copies_;
  std::vector<const StoredTensor*> used_;
  mutable std::once_flag hashed_;
  mutable ContentHash hash_{};
};

/// The text of a JSON file, at most 64 MB. FILE_NOT_FOUND or FILE_CORRUPT.
MappedFile map_json_file(const std::filesystem::path& path);

}  // namespace headspark
