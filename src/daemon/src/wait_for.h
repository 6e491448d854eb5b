#pragma once

#include "vmm/base/error.h"

#include <chrono>
#include <string>
#include <vector>

namespace vmm::daemon {

// Waits until each host:port accepts connections, each at most this long, and says for whom. invalid for a
// bad entry, timed_out with the name.
Result<void> wait_for(const std::vector<std::string>& services, std::chrono::seconds limit);

}  // namespace vmm::daemon
