#pragma once

#include "vmm/base/task.h"
#include "vmm/ports/images.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vmm::ports {

// The disks that machines write: a root disk for each, named after it, and volumes. Used on the application's
// executor; what is not a Task takes well under a millisecond.
class DiskStore {
public:
    virtual ~DiskStore() = default;

    // Where the disk of this machine or volume is.
    [[nodiscard]] virtual std::filesystem::path path(const std::string& id) const = 0;

    // Makes the machine's root disk unless it exists: an overlay on the image's disk, or an empty one.
    // Durable on return. unavailable "no-space".
    virtual Result<std::filesystem::path>
    make_root(const std::string& vm, const Image& image, std::uint32_t gib) = 0;

    // A new overlay at this place, as make_root() makes it.
    virtual Result<void>
    make_overlay(const std::filesystem::path& file, const Image& image, std::uint32_t gib) = 0;

    // Makes an empty volume unless it exists.
    virtual Result<std::filesystem::path> make_volume(const std::string& volume, std::uint32_t gib) = 0;

    // Makes a disk larger that nobody has open. Does nothing when it is as large already.
    virtual Task<void> grow(std::string id, std::uint32_t gib) = 0;

    // Copies a disk that nobody writes, holes as holes; the target is overwritten. Durable on return.
    virtual Task<void> copy(std::filesystem::path from, std::filesystem::path to) = 0;

    virtual Result<void> remove(const std::string& id) = 0;

    // Ids of the machines and volumes that have a disk here, or the beginning of one.
    virtual Result<std::vector<std::string>> all() = 0;

    // The file that the disk is an overlay on; empty for one that stands alone or is not there.
    [[nodiscard]] virtual std::filesystem::path backing(const std::string& id) const = 0;

    // Bytes that the disk takes on this host; 0 when there is none.
    [[nodiscard]] virtual std::uint64_t real_bytes(const std::string& id) const = 0;

    // Free room where disks go.
    virtual std::uint64_t available_mib() = 0;
};

}  // namespace vmm::ports
