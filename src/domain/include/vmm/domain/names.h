#pragma once

#include "vmm/base/error.h"

#include <map>
#include <string>
#include <string_view>

namespace vmm::domain {

// A machine's name is a DNS-like label, so that it can serve as host name: 1 to 63 letters, digits, '-', '_'
// and '.', beginning and ending with a letter or digit, and not in the form of an id. invalid, field "name".
Result<void> check_vm_name(std::string_view name);

// An image's name: the same letters, at most 128, no leading dot. invalid, field "image".
Result<void> check_image_name(std::string_view name);

// At most 64 labels; keys of 1 to 63 letters, digits, '-', '_', '.', '/'; values up to 255 bytes without
// control characters. invalid, field "labels.KEY".
Result<void> check_labels(const std::map<std::string, std::string>& labels);

// An account's display name: up to 100 bytes without control characters. invalid, field "name".
Result<void> check_display_name(std::string_view name);

}  // namespace vmm::domain
