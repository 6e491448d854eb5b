#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

// The little of the qcow2 format that the service writes and changes itself; the source is
// docs/interop/qcow2.txt of QEMU. Reading of untrusted images is in the adapter's check.
namespace vmm::images {

struct Backing {
    std::filesystem::path file;  // absolute
    std::string format;          // "raw" or "qcow2"
};

// Writes a new, empty version 3 image of `bytes` virtual size (a multiple of 512, at most 64 TiB): header,
// refcounts and an empty L1 table. Durable on return. unavailable "no-space", conflict when the file exists.
// Under its name the file is whole or missing, whenever the service is killed; a draft beside it may stay.
// Nobody else may make the same file meanwhile.
Result<void>
create_qcow2(const std::filesystem::path& file, std::uint64_t bytes, const std::optional<Backing>& backing);

// Where create_qcow2 writes before the file gets its name.
std::filesystem::path draft_of(const std::filesystem::path& file);

// Makes an image that nobody has open larger, in place, durably. Returns false when its L1 table has no room
// for the new size; then qemu-img must do it. invalid when it would shrink, malformed when it is no qcow2.
Result<bool> grow_qcow2(const std::filesystem::path& file, std::uint64_t bytes);

// The backing file of an image of our own; empty when it has none.
Result<std::filesystem::path> qcow2_backing(const std::filesystem::path& file);

// The virtual size of an image of our own.
Result<std::uint64_t> qcow2_bytes(const std::filesystem::path& file);

}  // namespace vmm::images
