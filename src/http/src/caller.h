#pragma once

#include "request.h"

namespace vmm::http {

// Finds out who signed the request, and that it may be answered now: fills caller and, for all but GET and
// HEAD, the ticket that makes the signature single-use. malformed, unauthenticated, conflict
// "replayed-request".
Task<void> authenticate(Service& service, Request& request);

}  // namespace vmm::http
