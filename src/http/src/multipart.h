#pragma once

#include "vmm/base/error.h"

#include <map>
#include <string>
#include <string_view>

namespace vmm::http {

// The parts of a form (RFC 7578) by name. malformed.
Result<std::map<std::string, std::string>>
read_multipart(std::string_view content_type, std::string_view body);

}  // namespace vmm::http
