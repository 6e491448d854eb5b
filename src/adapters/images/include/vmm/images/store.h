#pragma once

#include "vmm/ports/disks.h"
#include "vmm/ports/images.h"
#include "vmm/ports/signatures.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace vmm::images {

struct Settings {
    std::filesystem::path folder;
    std::string owner;  // the identity of the state store, so that services that share a folder keep apart
    std::filesystem::path qemu_img = "/usr/bin/qemu-img";
    std::filesystem::path jail;  // vmm-jail; empty: beside this program, or in its libexec folder
    std::uint64_t most_virtual_bytes = 2048ULL << 30;
    std::chrono::seconds time_limit{3600};  // of one run of qemu-img
    std::vector<domain::Address> trusted_publishers;
    bool refuse_untrusted = false;         // .form images that are unsigned or of an unknown publisher
    bool allow_private_addresses = false;  // in urls
    std::filesystem::path ca_file;         // trusted for https beside the system's
};

// Images in a folder, see docs/images.md. What was brought lies below `<folder>/.images/<owner>/`; what lies
// in the folder itself is found by its content while the service runs. `executor` is the application's.
Result<std::unique_ptr<ports::ImageStore>>
create_image_store(asio::any_io_executor executor, Settings settings, const ports::Signatures& signatures);

// Root disks and volumes in `<folder>/.machines/<owner>/ID.qcow2`.
std::unique_ptr<ports::DiskStore> create_disk_store(const Settings& settings);

}  // namespace vmm::images
