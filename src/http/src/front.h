#pragma once

#include "request.h"

// What stands before every route: where a request comes from, how often that may be, which pages may ask, and
// the headers that every answer has.
namespace vmm::http {

// The client's address: that of the connection, or, of a connection from a trusted proxy, the last one in
// X-Forwarded-For that is no trusted proxy.
std::string client_of(const Service& service, const Request& request);

// Before anything is known of the caller. exhausted "too-many-requests", "too-many-failures".
Result<void> check_source(Service& service, Request& request);

// Once the caller is known. exhausted "too-many-requests".
Result<void> check_rate(Service& service, Request& request);

// Counts what went wrong before the caller was known, and holds the answers of a source that does it too
// often: waiting costs the service nothing.
void count_failure(Service& service, const Request& request, Reply& reply);

// The answer to a browser's question whether a page of another origin may ask; nothing when this is none.
std::optional<Reply> preflight(const Service& service, const Request& request);

// Adds what belongs to every answer.
void dress(const Service& service, const Request& request, Reply& reply);

}  // namespace vmm::http
