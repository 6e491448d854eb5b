#pragma once

#include "vmm/app/begun.h"

#include "request.h"

namespace vmm::http {

// The answer of the job when it is done, or 202 when it takes too long or nobody wants to wait.
Task<Reply> conclude(Service& service, Request& request, Task<app::Begun> beginning);

}  // namespace vmm::http
