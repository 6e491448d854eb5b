#pragma once

#include "vmm/ports/host.h"

#include <memory>

namespace vmm::host {

// Linux, read from /proc and statvfs.
std::unique_ptr<ports::Host> create_host();

}  // namespace vmm::host
