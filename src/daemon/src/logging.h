#pragma once

#include "vmm/base/error.h"
#include "vmm/daemon/config.h"

namespace vmm::daemon {

// Sets up the process' log as configured. unavailable when the file cannot be opened.
Result<void> start_logging(const Config& config);

// Opens the log file anew, after it was moved away.
void reopen_log();

}  // namespace vmm::daemon
