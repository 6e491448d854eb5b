#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmm {

// Milliseconds since 1970-01-01 UTC. The only kind of time that is stored.
struct Timestamp {
    std::int64_t ms = 0;
    auto operator<=>(const Timestamp&) const = default;

    [[nodiscard]] Timestamp plus(std::chrono::milliseconds time) const { return {ms + time.count()}; }
};

Timestamp now();

// RFC 3339 in UTC with milliseconds: 2026-01-31T12:00:00.000Z.
std::string rfc3339(Timestamp time);
// With or without a fraction, in UTC or with an offset. Finer than a millisecond is cut off.
std::optional<Timestamp> parse_rfc3339(std::string_view text);

}  // namespace vmm
