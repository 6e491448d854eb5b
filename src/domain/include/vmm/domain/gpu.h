#pragma once

#include "vmm/base/error.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Graphics processors that are passed through to machines. Pure.
namespace vmm::domain {

// What a machine can ask for.
inline constexpr std::array<std::string_view, 4> gpu_models{"RTX5090", "H100", "H200", "B200"};
inline constexpr std::uint32_t most_gpus = 8;  // of one machine

struct GpuWish {
    std::string model;  // one of gpu_models
    std::uint32_t count = 1;
    std::size_t line = 0;  // of the Formfile; 0: it was asked for elsewhere
};

// One that a machine has, from its creation to its end.
struct Gpu {
    std::string model;
    std::string address;  // on the host's PCI bus, "0000:17:00.0"

    bool operator==(const Gpu&) const = default;
};

// One that the host has.
struct HostGpu {
    std::string address;
    std::string model;     // one of gpu_models, or what it is otherwise: "10de:1db6"
    int iommu_group = 0;   // the devices of a group can only be given away together; -1: it is in none
    std::string obstacle;  // why it cannot be passed through; empty: it can
};

// Devices that other machines have: their addresses.
using GpusTaken = std::vector<std::string>;

// invalid, naming the model or the count.
Result<void> check_gpu(std::string_view model, std::uint32_t count);

// Picks devices of the host for all wishes. invalid "gpu-unavailable" when the host has too few that can be
// passed through, with what it has; conflict "gpu-taken" when other machines have them.
Result<std::vector<Gpu>>
choose_gpus(const std::vector<GpuWish>& wishes, const std::vector<HostGpu>& host, const GpusTaken& taken);

// Whether the host can still give what a machine was given. unavailable "gpu-unavailable".
Result<void> check_gpus(const std::vector<Gpu>& gpus, const std::vector<HostGpu>& host);

}  // namespace vmm::domain
