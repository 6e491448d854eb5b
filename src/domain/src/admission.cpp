#include "vmm/domain/admission.h"

#include "vmm/base/text.h"

#include <algorithm>
#include <array>
#include <string>

namespace vmm::domain {
namespace {

std::string mib(std::uint64_t amount) {
    return std::to_string(amount) + " MiB";
}

}  // namespace

Result<void> check_shape(const Demand& demand, const HostCapacity& host) {
    const std::uint32_t most_vcpus = std::min<std::uint32_t>(255, std::max<std::uint32_t>(8, host.cpus * 4));
    if (demand.vcpus < 1 || demand.vcpus > most_vcpus) {
        return invalid(
            "vcpus",
            std::to_string(demand.vcpus) + " is not from 1 to " + std::to_string(most_vcpus) +
                ", the most this host gives"
        );
    }
    if (demand.memory_mib < 64) {
        return invalid(
            "memory_mib",
            "a machine needs at least 64 MiB of memory, found " + std::to_string(demand.memory_mib)
        );
    }
    if (demand.memory_mib + host_reserve_mib > host.memory_mib) {
        return invalid(
            "memory_mib",
            mib(demand.memory_mib) + " is more than this host can give: it has " + mib(host.memory_mib) +
                " and keeps " + mib(host_reserve_mib) + " for itself"
        );
    }
    if (demand.disk_gib < 1 || demand.disk_gib > 65535) {
        return invalid("disk_gib", std::to_string(demand.disk_gib) + " is not from 1 to 65535");
    }
    return {};
}

Result<void> check_disk(const DiskWish& wish) {
    if (wish.size_gib < 1 || wish.size_gib > 65535) {
        return invalid("size_gib", std::to_string(wish.size_gib) + " is not from 1 to 65535");
    }
    if (wish.iops > 1'000'000) {
        return invalid("iops", std::to_string(wish.iops) + " is not from 0 (no limit) to 1000000");
    }
    if (wish.throughput_mbps > 1'000'000) {
        return invalid(
            "throughput_mbps", std::to_string(wish.throughput_mbps) + " is not from 0 (no limit) to 1000000"
        );
    }
    static constexpr std::array<std::string_view, 6> modes{
        "", "writeback", "writethrough", "none", "directsync", "unsafe"
    };
    if (std::ranges::find(modes, wish.cache) == modes.end()) {
        return invalid(
            "cache", quote(wish.cache) + " is not one of writeback, writethrough, none, directsync, unsafe"
        );
    }
    return {};
}

Result<void> check_room(std::uint64_t machines, std::uint64_t max_vms, const HostCapacity& host) {
    if (machines >= max_vms) {
        return fail(Error{
            Code::conflict,
            "this host holds " + std::to_string(machines) + " machines and max_vms is " +
                std::to_string(max_vms)
        }
                        .with_slug("max-vms-reached")
                        .with_hint("delete a machine, or raise max_vms in the configuration"));
    }
    if (host.disk_available_mib < disk_reserve_mib) {
        return fail(Error{
            Code::unavailable,
            "only " + mib(host.disk_available_mib) + " are free where root disks go; " +
                mib(disk_reserve_mib) + " are needed"
        }
                        .with_slug("no-space")
                        .with_retry_after(30));
    }
    return {};
}

Result<void> check_memory(std::uint32_t memory_mib, std::uint64_t given_mib, const HostCapacity& host) {
    const auto refuse = [](std::string message) {
        return fail(Error{Code::unavailable, std::move(message)}
                        .with_slug("host-memory-exhausted")
                        .with_hint("stop a machine, or start a smaller one")
                        .with_retry_after(10));
    };
    if (given_mib + memory_mib + host_reserve_mib > host.memory_mib) {
        return refuse(
            mib(memory_mib) + " are needed, but of the host's " + mib(host.memory_mib) +
            " running machines have " + mib(given_mib) + " and the host keeps " + mib(host_reserve_mib)
        );
    }
    if (memory_mib + host_reserve_mib > host.memory_available_mib) {
        return refuse(
            mib(memory_mib) + " are needed, but only " + mib(host.memory_available_mib) +
            " are available and the host keeps " + mib(host_reserve_mib)
        );
    }
    return {};
}

}  // namespace vmm::domain
