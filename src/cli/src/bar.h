#pragma once

#include "vmm/base/error.h"
#include "vmm/base/progress.h"

#include <functional>
#include <string>

namespace vmm::cli {

// Runs long work on a thread of its own while a bar with the rate stands on standard error, when that is a
// terminal. A line with bytes, time and rate says at the end what was done.
Result<void> with_bar(const std::string& what, const std::function<Result<void>(const ProgressView&)>& work);

// "12.3 MiB".
std::string amount(std::uint64_t bytes);

}  // namespace vmm::cli
