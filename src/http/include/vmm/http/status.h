#pragma once

#include "vmm/base/error.h"

#include <string_view>

namespace vmm::http {

// The one map from what went wrong to an HTTP status. No default: a new Code does not compile until it has a
// status.
constexpr int status(Code code) {
    switch (code) {
        case Code::malformed: return 400;
        case Code::invalid: return 422;
        case Code::unauthenticated: return 401;
        case Code::forbidden: return 403;
        case Code::not_found: return 404;
        case Code::conflict: return 409;
        case Code::precondition_failed: return 412;
        case Code::too_large: return 413;
        case Code::headers_too_large: return 431;
        case Code::unsupported_media: return 415;
        case Code::method_not_allowed: return 405;
        case Code::exhausted: return 429;
        case Code::unavailable: return 503;
        case Code::timed_out: return 503;
        case Code::cancelled: return 409;
        case Code::internal: return 500;
    }
    return 500;
}

// The reason phrase, which is also a problem's title.
constexpr std::string_view title(int status) {
    switch (status) {
        case 101: return "Switching Protocols";
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 206: return "Partial Content";
        case 304: return "Not Modified";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 409: return "Conflict";
        case 412: return "Precondition Failed";
        case 413: return "Content Too Large";
        case 415: return "Unsupported Media Type";
        case 416: return "Range Not Satisfiable";
        case 422: return "Unprocessable Content";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 503: return "Service Unavailable";
        default: return "Internal Server Error";
    }
}

static_assert(status(Code::conflict) == 409);

}  // namespace vmm::http
