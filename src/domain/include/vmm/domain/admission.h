#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <string>

namespace vmm::domain {

// What a host has and how much of it is spoken for. MiB throughout.
struct HostCapacity {
    std::uint32_t cpus = 1;
    std::uint64_t memory_mib = 0;            // fitted
    std::uint64_t memory_available_mib = 0;  // free or reclaimable now
    std::uint64_t disk_available_mib = 0;    // where root disks go
};

struct Demand {
    std::uint32_t vcpus = 1;
    std::uint32_t memory_mib = 0;
    std::uint32_t disk_gib = 0;
};

// Memory that the host itself and QEMU's own needs keep back.
inline constexpr std::uint64_t host_reserve_mib = 256;
// Room on disk that is never given away.
inline constexpr std::uint64_t disk_reserve_mib = 64;

// Whether such a machine can ever run here: vCPUs 1..255 and at most 4 per host CPU or 8, memory within the
// host's. invalid, with the field and the number that was exceeded.
Result<void> check_shape(const Demand& demand, const HostCapacity& host);

// A disk's tuning: limits up to 10^6, and one of the five cache modes. invalid, with the field.
struct DiskWish {
    std::uint32_t size_gib = 1;
    std::uint32_t iops = 0;
    std::uint32_t throughput_mbps = 0;
    std::string cache;
};

Result<void> check_disk(const DiskWish& wish);

// Whether one more machine may be defined. conflict "max-vms-reached"; unavailable "no-space".
Result<void> check_room(std::uint64_t machines, std::uint64_t max_vms, const HostCapacity& host);

// Whether a machine of this size may be started now, with `given_mib` promised to the machines that run:
// memory is never promised twice. unavailable "host-memory-exhausted".
Result<void> check_memory(std::uint32_t memory_mib, std::uint64_t given_mib, const HostCapacity& host);

}  // namespace vmm::domain
