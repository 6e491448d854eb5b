#pragma once

#include "vmm/ports/host.h"

#include <memory>

namespace vmm::host {

// Linux, read from /proc, /sys and statvfs.
std::unique_ptr<ports::Host> create_host();

// The NVIDIA GPUs below a tree like /sys, by address. Sources: Documentation/ABI/testing/sysfs-bus-pci and
// Documentation/driver-api/vfio.rst of Linux; the numbers of the models are those of the PCI ID database.
std::vector<domain::HostGpu> find_gpus(const std::filesystem::path& sys);

}  // namespace vmm::host
