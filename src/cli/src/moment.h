#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <string>

namespace vmm::cli {

// A moment as people give it: RFC 3339, or from now on such as 30m, 12h, 7d. In Unix seconds. invalid.
Result<std::int64_t> moment(const std::string& text);

}  // namespace vmm::cli
