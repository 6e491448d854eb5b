#pragma once

#include "vmm/base/error.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

// The text that a request's signature covers and the headers that carry it. Shared by the server and the
// client, so that they cannot differ.
namespace vmm::wire {

// METHOD is part of the text for every method but GET, HEAD and POST. `data` is the canonical JSON of the
// body, the value of X-Content-SHA256, or empty.
std::string signing_text(
    std::string_view method,
    std::string_view target,
    std::string_view timestamp,
    std::string_view data
);

// The canonical JSON of a body, for signing. malformed.
Result<std::string> canonical_body(std::string_view body);

struct SignatureText {
    std::array<std::uint8_t, 64> rs{};
    int recovery_id = 0;
};

// X-Signature and X-Recovery-ID as clients write them: hex with or without 0x, 64 or 65 bytes; 0, 1, 27, 28.
// malformed "bad-signature", with the header as field.
Result<SignatureText> parse_signature(std::string_view signature, std::string_view recovery_id);

// X-Timestamp: Unix seconds, decimal, with a fraction of up to nine digits. In nanoseconds. malformed
// "bad-timestamp".
Result<std::int64_t> parse_timestamp(std::string_view text);

// Whether the time is at most `window_s` away from the clock. unauthenticated "timestamp-outside-window".
Result<void> check_window(std::int64_t timestamp_ns, std::int64_t now_ns, std::int64_t window_s);

}  // namespace vmm::wire
