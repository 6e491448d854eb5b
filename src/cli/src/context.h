#pragma once

#include "vmm/base/error.h"

#include <string>

namespace vmm::cli {

struct Form {
    std::string content_type;
    std::string body;
};

// An order beside the folder that its Formfile copies from, as multipart/form-data. not_found, unavailable.
Result<Form> form_with_context(const std::string& order, const std::string& folder);

}  // namespace vmm::cli
