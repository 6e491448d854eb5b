#include "vmm/base/error.h"

#include <array>

namespace vmm {
namespace {

struct Words {
    Code code;
    std::string_view name;
    std::string_view word;
};

constexpr std::array all{
    Words{Code::malformed, "malformed", "malformed-request"},
    Words{Code::invalid, "invalid", "invalid-value"},
    Words{Code::unauthenticated, "unauthenticated", "unauthenticated"},
    Words{Code::forbidden, "forbidden", "role-too-low"},
    Words{Code::not_found, "not_found", "not-found"},
    Words{Code::conflict, "conflict", "state-conflict"},
    Words{Code::precondition_failed, "precondition_failed", "revision-mismatch"},
    Words{Code::too_large, "too_large", "body-too-large"},
    Words{Code::headers_too_large, "headers_too_large", "headers-too-large"},
    Words{Code::unsupported_media, "unsupported_media", "unsupported-media-type"},
    Words{Code::method_not_allowed, "method_not_allowed", "method-not-allowed"},
    Words{Code::exhausted, "exhausted", "too-many-requests"},
    Words{Code::unavailable, "unavailable", "unavailable"},
    Words{Code::timed_out, "timed_out", "timed-out"},
    Words{Code::cancelled, "cancelled", "cancelled"},
    Words{Code::internal, "internal", "internal-error"},
};

const Words& words(Code code) {
    return all[static_cast<std::size_t>(code)];
}

}  // namespace

std::string_view word(Code code) {
    return words(code).word;
}

std::string_view name(Code code) {
    return words(code).name;
}

Code code_named(std::string_view name) {
    for (const auto& row : all) {
        if (row.name == name) {
            return row.code;
        }
    }
    return Code::internal;
}

std::unexpected<Error> invalid(std::string_view field, std::string message) {
    return fail(Error{Code::invalid, std::move(message)}.with_field(field));
}

}  // namespace vmm
