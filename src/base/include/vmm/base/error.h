#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace vmm {

// What went wrong, in the fewest words a client can act on. Each code has one HTTP status, decided in
// vmm/http/status.h and nowhere else.
enum class Code : std::uint8_t {
    malformed,  // cannot be read at all
    invalid,    // well-formed, but not acceptable; field() says which part
    unauthenticated,
    forbidden,
    not_found,
    conflict,
    precondition_failed,
    too_large,
    headers_too_large,
    unsupported_media,
    method_not_allowed,
    exhausted,    // the caller asks too much
    unavailable,  // try again later
    timed_out,
    cancelled,
    internal,
};

// The default stable word of a code, as it stands in a problem's "code" member.
std::string_view word(Code code);
// The code whose name() this is; internal for an unknown one. For records that store errors.
std::string_view name(Code code);
Code code_named(std::string_view name);

// One failure on its way to whoever asked. A value; safe to copy and to store.
class Error {
public:
    Error(Code code, std::string message) : code_{code}, message_{std::move(message)} {}

    [[nodiscard]] Code code() const { return code_; }

    // For people: lower case, no full stop, says what was found or what to do.
    [[nodiscard]] const std::string& message() const { return message_; }

    // For programs: a stable kebab-case word, finer than the code where that helps.
    [[nodiscard]] std::string_view slug() const {
        return slug_.empty() ? word(code_) : std::string_view{slug_};
    }

    // The path of the request's field that is at fault, or empty.
    [[nodiscard]] const std::string& field() const { return field_; }

    [[nodiscard]] const std::string& hint() const { return hint_; }

    // The text that a signer was expected to sign, and the address that came out instead; or empty.
    [[nodiscard]] const std::string& expected_message() const { return expected_message_; }

    [[nodiscard]] const std::string& recovered_address() const { return recovered_address_; }

    // Seconds after which a new attempt makes sense; 0 when not known.
    [[nodiscard]] int retry_after_s() const { return retry_after_s_; }

    // Puts what we were doing in front of what went wrong; the code stays as it was.
    [[nodiscard]] Error while_doing(std::string_view what) && {
        message_.insert(0, ": ").insert(0, what);
        return std::move(*this);
    }

    [[nodiscard]] Error with_slug(std::string_view slug) && {
        slug_ = slug;
        return std::move(*this);
    }

    [[nodiscard]] Error with_field(std::string_view field) && {
        field_ = field;
        return std::move(*this);
    }

    [[nodiscard]] Error with_hint(std::string_view hint) && {
        hint_ = hint;
        return std::move(*this);
    }

    [[nodiscard]] Error
    with_signer(std::string_view expected_message, std::string_view recovered_address) && {
        expected_message_ = expected_message;
        recovered_address_ = recovered_address;
        return std::move(*this);
    }

    [[nodiscard]] Error with_retry_after(int seconds) && {
        retry_after_s_ = seconds;
        return std::move(*this);
    }

    bool operator==(const Error&) const = default;

private:
    Code code_;
    int retry_after_s_ = 0;
    std::string message_;
    std::string slug_;
    std::string field_;
    std::string hint_;
    std::string expected_message_;
    std::string recovered_address_;
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Code code, std::string message) {
    return std::unexpected<Error>{std::in_place, code, std::move(message)};
}

[[nodiscard]] inline std::unexpected<Error> fail(Error error) {
    return std::unexpected<Error>{std::move(error)};
}

// A well-formed request that asks for something unacceptable, with the field that does.
[[nodiscard]] std::unexpected<Error> invalid(std::string_view field, std::string message);

}  // namespace vmm

#define VMM_CAT_IMPL(a, b) a##b
#define VMM_CAT(a, b) VMM_CAT_IMPL(a, b)
#define VMM_TRY_IMPL(leave, tmp, decl, ...)            \
    auto tmp = __VA_ARGS__;                            \
    if (!tmp) [[unlikely]]                             \
        leave std::unexpected{std::move(tmp).error()}; \
    decl = *std::move(tmp)
#define VMM_CHECK_IMPL(leave, ...)                               \
    if (auto vmm_result = __VA_ARGS__; !vmm_result) [[unlikely]] \
        leave std::unexpected {                                  \
            std::move(vmm_result).error()                        \
        }
// TRY(auto port, parse_port(text)): the value, or leave this function with the error.
#define TRY(decl, ...) VMM_TRY_IMPL(return, VMM_CAT(vmm_result_, __COUNTER__), decl, __VA_ARGS__)
// CHECK(validate(name)): go on, or leave this function with the error.
#define CHECK(...) VMM_CHECK_IMPL(return, __VA_ARGS__)
// The same two in a coroutine.
#define CO_TRY(decl, ...) VMM_TRY_IMPL(co_return, VMM_CAT(vmm_result_, __COUNTER__), decl, __VA_ARGS__)
#define CO_CHECK(...) VMM_CHECK_IMPL(co_return, __VA_ARGS__)
