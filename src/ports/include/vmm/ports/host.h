#pragma once

#include "vmm/base/error.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/gpu.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace vmm::ports {

// The machine under the service. Thread-safe; calls are short.
class Host {
public:
    virtual ~Host() = default;

    // CPUs and memory; disk_available_mib is not filled.
    [[nodiscard]] virtual domain::HostCapacity capacity() const = 0;

    // Changes with every boot of the host.
    [[nodiscard]] virtual std::string boot_id() const = 0;

    // The graphics processors, by address.
    [[nodiscard]] virtual std::vector<domain::HostGpu> gpus() const = 0;

    // Free MiB of a folder that can be written. unavailable.
    [[nodiscard]] virtual Result<std::uint64_t> check_folder(const std::filesystem::path& folder) const = 0;
};

}  // namespace vmm::ports
