#pragma once

#include "vmm/base/task.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace vmm::ports {

// What a machine boots: a kernel with its initial file system, or a disk. Read-only.
struct Image {
    Image() = default;
    std::string name;
    std::filesystem::path kernel;  // empty for a disk image
    std::filesystem::path initrd;
    std::string command_line;
    std::filesystem::path disk;    // empty for a kernel image
    std::string disk_format;       // "raw" or "qcow2"
    std::uint64_t disk_bytes = 0;  // as the guest sees it
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
};

// Images by name, and the root disks made from them. Calls are short; used on the application's executor.
class ImageStore {
public:
    virtual ~ImageStore() = default;

    // invalid, field "image", when there is no such image or it cannot be used; says which there are.
    virtual Result<Image> find(const std::string& name) = 0;

    // Makes the machine's root disk unless it exists: an overlay on the image's disk, or an empty one.
    // Durable on return. unavailable "no-space".
    virtual Result<std::filesystem::path>
    make_disk(const std::string& vm, const Image& image, std::uint32_t gib) = 0;

    virtual Result<void> remove_disk(const std::string& vm) = 0;

    // Ids of the machines that have a root disk.
    virtual Result<std::vector<std::string>> disks() = 0;

    // Free room where root disks go.
    virtual std::uint64_t available_mib() = 0;
};

}  // namespace vmm::ports
