#pragma once

#include "vmm/base/time.h"
#include "vmm/domain/address.h"
#include "vmm/domain/boot.h"
#include "vmm/domain/gpu.h"
#include "vmm/domain/lifecycle.h"
#include "vmm/domain/network.h"
#include "vmm/domain/owner.h"
#include "vmm/domain/roles.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vmm::domain {

enum class Power : std::uint8_t { off, on };

// How a disk may be used; what is absent follows the configuration.
struct DiskTuning {
    std::optional<std::uint32_t> iops;             // most operations a second; 0: no limit
    std::optional<std::uint32_t> throughput_mbps;  // most megabytes (10^6) a second; 0: no limit
    std::string cache;                             // writeback, writethrough, none, directsync, unsafe

    bool operator==(const DiskTuning&) const = default;
};

// A disk with a life of its own: attached to one machine at a time, or to none.
struct Volume {
    std::string id;
    std::string name;
    Owner owner;
    std::uint32_t size_gib = 1;
    DiskTuning tuning;
    Timestamp created_at;
};

// A role on one machine that somebody who does not own it was given.
struct Grant {
    Address to;
    Role role = Role::read_only;
    std::optional<Timestamp> expires_at;
    Address given_by;
    Timestamp given_at;
};

inline constexpr std::size_t most_collaborators = 1000;  // of one machine

// A machine on its way to another owner, who has not accepted it yet.
struct Offer {
    Owner to;
    bool keep_collaborators = false;
    Address offered_by;
    Timestamp offered_at;
};

// Everything that is known of one machine, as it is stored. Changed only by the machine's own object.
struct Vm {
    std::string id;
    std::string name;
    Owner owner;
    std::vector<Grant> collaborators;  // by address
    std::optional<Offer> offer;
    Status status = Status::creating;
    std::string status_reason;
    Power desired_power = Power::off;
    std::uint32_t vcpus = 1;
    std::uint32_t memory_mib = 512;
    std::uint32_t disk_gib = 10;
    std::string image;
    DiskTuning root_tuning;
    std::vector<Volume> volumes;  // attached, in the order of their attachment
    std::vector<Gpu> gpus;
    std::string node;
    std::string formfile;
    std::map<std::string, std::string> labels;
    std::vector<std::string> addresses;
    std::vector<Interface> interfaces;
    Firewall firewall;
    std::vector<PublishedPort> ports;
    std::string user_data;  // cloud-init's, as the owner gave it
    std::vector<std::string> ssh_keys;
    std::string formnet_ip;  // in the platform's mesh, as the guest reported it
    Timestamp created_at;
    Timestamp updated_at;
    std::optional<Timestamp> started_at;
    std::optional<Timestamp> boot_completed_at;
    std::int64_t revision = 0;    // grows by one with every stored change
    std::string operation;        // the id of the operation that holds the machine while it is busy
    std::string boot_token_hash;  // SHA-256 of the token that the guest of this start reports its boot with
    std::string host_boot_id;     // the host's boot on which QEMU was started last
    std::optional<Boot> boot;     // of a live machine; not stored
    std::string health;           // of its HEALTHCHECK; not stored
    std::string build_id;         // the platform's derived ids, read-only
    std::string instance_id;
};

}  // namespace vmm::domain
