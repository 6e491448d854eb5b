#pragma once

#include "request.h"

namespace vmm::http {

// The metadata service at 169.254.169.254: cloud-init's NoCloud paths and those of EC2. Each machine is known
// by the address that it asks from, and sees its own alone.
Task<Reply> serve_metadata(Service& service, Request& request);

}  // namespace vmm::http
