#pragma once

#include "vmm/domain/address.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vmm::app {

enum class Registration : std::uint8_t { closed, open };

// What the configuration says to the application.
struct Settings {
    std::string node = "node";
    domain::Address::Bytes node_id{};  // the platform's id of this node, for instance ids
    std::uint64_t max_vms = 100;
    std::size_t concurrent_vm_starts = 5;
    std::uint32_t default_vcpus = 1;
    std::uint32_t default_memory_mib = 512;
    std::uint32_t default_disk_gib = 10;
    std::string default_image;
    std::int64_t vm_shutdown_timeout_s = 30;
    std::chrono::seconds timestamp_window{300};
    Registration registration = Registration::closed;
    std::vector<domain::Address> administrators;
    std::filesystem::path vm_dir;
    std::filesystem::path images_dir;
};

}  // namespace vmm::app
