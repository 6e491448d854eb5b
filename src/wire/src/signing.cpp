#include "vmm/wire/signing.h"

#include "vmm/base/text.h"
#include "vmm/json/value.h"
#include "vmm/json/write.h"

#include <algorithm>

namespace vmm::wire {
namespace {

constexpr std::int64_t ns_per_s = 1'000'000'000;
// Keeps seconds in nanoseconds within 64 bits.
constexpr std::size_t most_second_digits = 9 + 1;

std::unexpected<Error> bad(std::string_view header, std::string_view slug, std::string message) {
    return fail(Error{Code::malformed, std::move(message)}.with_slug(slug).with_field(header));
}

bool digits_only(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<int> parse_recovery_id(std::string_view text) {
    if (text == "27" || text == "28") {
        return text == "27" ? 0 : 1;
    }
    if (text.starts_with("0x") || text.starts_with("0X")) {
        text.remove_prefix(2);
    }
    if (text.size() == 2 && text.front() == '0') {
        text.remove_prefix(1);
    }
    if (text == "0" || text == "1") {
        return text == "0" ? 0 : 1;
    }
    return std::nullopt;
}

}  // namespace

std::string signing_text(
    std::string_view method,
    std::string_view target,
    std::string_view timestamp,
    std::string_view data
) {
    std::string text;
    text.reserve(method.size() + target.size() + timestamp.size() + data.size() + 3);
    if (method != "GET" && method != "HEAD" && method != "POST") {
        text.append(method).append(" ");
    }
    return text.append(target).append(":").append(timestamp).append(":").append(data);
}

Result<std::string> canonical_body(std::string_view body) {
    TRY(const auto value, json::parse(body));
    return json::canonical(value);
}

Result<SignatureText> parse_signature(std::string_view signature, std::string_view recovery_id) {
    const auto bytes = from_hex(signature);
    if (!bytes || (bytes->size() != 64 && bytes->size() != 65)) {
        return bad("X-Signature", "bad-signature", "X-Signature must be 64 or 65 bytes of hex");
    }
    const auto id = parse_recovery_id(recovery_id);
    if (!id) {
        return bad("X-Recovery-ID", "bad-signature", "X-Recovery-ID must be 0, 1, 27 or 28");
    }
    SignatureText out;
    out.recovery_id = *id;
    std::copy_n(bytes->begin(), 64, out.rs.begin());
    if (bytes->size() == 65) {
        const int v = bytes->back();
        if (v != 0 && v != 1 && v != 27 && v != 28) {
            return bad("X-Signature", "bad-signature", "the last byte of X-Signature must be 0, 1, 27 or 28");
        }
        if (v % 27 != *id) {
            return bad(
                "X-Recovery-ID", "bad-signature", "X-Recovery-ID and the last byte of X-Signature disagree"
            );
        }
    }
    return out;
}

Result<std::int64_t> parse_timestamp(std::string_view text) {
    const auto point = text.find('.');
    const auto whole = text.substr(0, point);
    const auto fraction = point == std::string_view::npos ? std::string_view{} : text.substr(point + 1);
    const bool good = digits_only(whole) && whole.size() <= most_second_digits &&
                      (point == std::string_view::npos || (digits_only(fraction) && fraction.size() <= 9));
    const auto seconds = good ? parse_number<std::int64_t>(whole) : std::nullopt;
    if (!seconds || *seconds > INT64_MAX / ns_per_s - 1) {
        return bad(
            "X-Timestamp",
            "bad-timestamp",
            "X-Timestamp must be Unix seconds in decimal digits, a fraction of up to nine digits allowed"
        );
    }
    std::int64_t ns = *seconds * ns_per_s;
    std::int64_t unit = ns_per_s / 10;
    for (const char digit : fraction) {
        ns += (digit - '0') * unit;
        unit /= 10;
    }
    return ns;
}

Result<void> check_window(std::int64_t timestamp_ns, std::int64_t now_ns, std::int64_t window_s) {
    const auto distance = timestamp_ns > now_ns ? timestamp_ns - now_ns : now_ns - timestamp_ns;
    if (distance <= window_s * ns_per_s) {
        return {};
    }
    const auto seconds = std::to_string((distance + ns_per_s - 1) / ns_per_s);
    return fail(Error{
        Code::unauthenticated,
        "X-Timestamp is " + seconds + " s " + (timestamp_ns > now_ns ? "ahead of" : "behind") +
            " the server's clock; at most " + std::to_string(window_s) + " s are accepted"
    }
                    .with_slug("timestamp-outside-window")
                    .with_field("X-Timestamp")
                    .with_hint("the server's time is " + std::to_string(now_ns / ns_per_s)));
}

}  // namespace vmm::wire
