#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace vmm {

// 16 bytes of a UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then random; later ones sort later, also
// within one millisecond of one process. Thread-safe.
std::array<std::uint8_t, 16> new_uuid();

// A prefix ("vm", "op"), a dash and a UUIDv7 in 26 lower-case Crockford base-32 digits. Sorts by creation.
std::string new_id(std::string_view prefix);

// Whether the text is what new_id(prefix) can return.
bool is_id(std::string_view prefix, std::string_view text);

// The UUID inside an id, in its usual 36-character form; for programs that want one. Needs is_id.
std::string uuid_of(std::string_view id);

// Fills with bytes of the kernel's random generator.
void fill_random(std::span<std::uint8_t> bytes);

// n random bytes as lower-case Crockford base 32, for secrets and nonces.
std::string random_text(std::size_t bytes);

}  // namespace vmm
