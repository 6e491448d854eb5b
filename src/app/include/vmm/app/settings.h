#pragma once

#include "vmm/domain/account.h"
#include "vmm/domain/network.h"

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
    domain::Quotas quotas;                 // of accounts that have none of their own
    bool refuse_untrusted_images = false;  // .form images that are unsigned or of an unknown publisher
    std::uint64_t most_image_bytes = 2048ULL << 30;
    std::string disk_cache = "writeback";
    bool disk_trim = true;
    std::uint32_t disk_iops = 0;  // of a disk that says nothing else; 0: no limit
    std::uint32_t disk_throughput_mbps = 0;
    std::chrono::minutes session_lifetime{480};
    std::string secret;                       // of this store, that nonces are made with
    std::chrono::hours audit_retention{0};    // 0: records stay
    std::uint64_t audit_most_records = 0;     // 0: as many as there are
    std::filesystem::path audit_archive_dir;  // where records go that leave the store; empty: nowhere
    std::string default_network{domain::user_network};
    std::string external_interface;  // of the default network
    std::string dhcp_range;          // of the default network: FIRST-LAST; empty: a free one
    bool dhcp_enabled = true;        // in the default network
    std::string publish_address = "0.0.0.0";
    std::string callback_url;      // where guests of the user network report
    std::string formnet_endpoint;  // of the mesh that machines join; empty: none do
    std::chrono::seconds vm_boot_timeout{120};
    bool close_user_networks = false;  // machines in the user network reach nothing
    std::filesystem::path vm_dir;
    std::filesystem::path images_dir;
};

}  // namespace vmm::app
