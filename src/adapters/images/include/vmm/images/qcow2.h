#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

// The little of the qcow2 format that the service writes and reads itself; the source is
// docs/interop/qcow2.txt of QEMU.
namespace vmm::images {

struct Backing {
    std::filesystem::path file;  // absolute
    std::string format;          // "raw" or "qcow2"
};

// Writes a new, empty version 3 image of `bytes` virtual size (a multiple of 512, at most 64 TiB): header,
// refcounts and an empty L1 table. Durable on return. unavailable "no-space", conflict when the file exists.
Result<void>
create_qcow2(const std::filesystem::path& file, std::uint64_t bytes, const std::optional<Backing>& backing);

struct Qcow2Header {
    std::uint64_t virtual_bytes = 0;
    bool has_backing_file = false;
    bool has_data_file = false;
    bool dirty = false;
};

// The header at the start of a file. malformed when it is no qcow2 or not a version and features known here.
Result<Qcow2Header> read_qcow2_header(std::string_view start);

}  // namespace vmm::images
