#pragma once

#include "vmm/base/error.h"
#include "vmm/daemon/config.h"

namespace vmm::daemon {

// Runs the service until it is told to stop (SIGTERM, SIGINT). Machines keep running after it.
Result<void> run(const Config& config);

// What run() would refuse at once: addresses, URLs, lengths.
Result<void> check(const Config& config);

std::string_view version();

}  // namespace vmm::daemon
