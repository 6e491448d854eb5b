#pragma once

#include <cstdint>
#include <string_view>

// What a Formfile may order.
namespace vmm::domain {

struct Range {
    std::string_view what;
    std::uint32_t least;
    std::uint32_t most;
};

inline constexpr Range vcpu_range{"a number of vCPUs", 1, 128};
inline constexpr Range memory_range{"MiB of memory", 512, 256000};
inline constexpr Range disk_range{"GiB of disk", 5, 65535};

}  // namespace vmm::domain
