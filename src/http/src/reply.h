#pragma once

#include "vmm/base/error.h"
#include "vmm/json/encode.h"

#include <string>

#include "request.h"

namespace vmm::http {

// The error as application/problem+json.
Reply problem(const Error& error, const std::string& request_id);

template <class T>
Reply json_reply(int status, const T& value) {
    Reply reply;
    reply.status = status;
    json::append(reply.body, value);
    return reply;
}

// The body of a request as a T; an absent body is an empty object. malformed, invalid, unsupported_media.
template <class T>
Result<T> body_of(const Request& request) {
    if (request.body.empty()) {
        return json::decode<T>(json::Value{json::Object{}});
    }
    if (!request.json) {
        return fail(
            Error{Code::unsupported_media, "the body must be application/json"}.with_field("Content-Type")
        );
    }
    return json::decode<T>(*request.json);
}

// Query parameters. Unknown ones are refused, so that a slip of the pen does not go unnoticed.
Result<void> check_query(const Request& request, std::initializer_list<std::string_view> known);
const std::string* query(const Request& request, std::string_view name);
Result<std::size_t> query_limit(const Request& request);
Result<bool> query_flag(const Request& request, std::string_view name);

// private, the default, or public. invalid, field "visibility".
Result<bool> wants_public(const std::optional<std::string>& visibility);

// The address in the path. invalid, field "address".
Result<domain::Address> address_in(const Service& service, const Request& request);

// 204.
Reply gone();

// ReadOnly, Operator, Manager or Owner. invalid, field "role".
Result<domain::Role> role_of(const std::string& text);

// If-Match: the revision, or nothing when the header is absent or "*".
Result<std::optional<std::int64_t>> if_match(const Request& request);
std::string etag(std::int64_t revision);
// A machine's, as it is shown.
std::string etag(const app::ShownVm& vm);

}  // namespace vmm::http
