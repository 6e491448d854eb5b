#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <string_view>

namespace vmm::form {

// Exactly so many bytes. malformed when the file ends before; unavailable.
Result<void> read_at(int file, std::uint64_t at, char* to, std::size_t bytes);
Result<void> write_at(int file, std::uint64_t at, std::string_view data);

}  // namespace vmm::form
