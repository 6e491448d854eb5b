#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmm::domain {

// The part of a Formfile that shapes a machine. Instructions that build what is inside the guest are refused
// by name and line, never ignored.
struct Formfile {
    std::string name;
    std::string description;
    std::optional<std::uint32_t> vcpus;       // 1..128
    std::optional<std::uint32_t> memory_mib;  // 512..256000
    std::optional<std::uint32_t> disk_gib;    // 5..65535
};

// Reads the line-based grammar: NAME, DESCRIPTION, VCPU|CPU|CORES, MEMORY|MEM|MBS, DISK|STORAGE; blank lines
// and lines that begin with # are skipped. invalid, field "formfile", with the line.
Result<Formfile> parse_formfile(std::string_view text);

}  // namespace vmm::domain
