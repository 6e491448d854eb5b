#pragma once

#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmm {

// Lower-case hex without a prefix.
std::string to_hex(std::span<const std::uint8_t> bytes);

// Bytes of hex text, either case, "0x" optional. Nothing when a digit is not hex or one is left over.
std::optional<std::vector<std::uint8_t>> from_hex(std::string_view text);

// RFC 4648 section 5, without padding.
std::string to_base64url(std::string_view bytes);
std::optional<std::string> from_base64url(std::string_view text);

// RFC 4648 section 4, with padding.
std::string to_base64(std::string_view bytes);
std::optional<std::string> from_base64(std::string_view text);

// The whole text as a decimal number of this type, or nothing.
template <std::integral T>
std::optional<T> parse_number(std::string_view text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    return value;
}

std::string_view trim(std::string_view text);
std::vector<std::string> split(std::string_view text, char separator);
std::string lower(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);

// The candidate with the smallest edit distance, when that is small enough to be a slip of the pen.
std::optional<std::string> nearest(std::string_view text, std::span<const std::string> candidates);

// The text with control characters as \xNN and cut at `limit` bytes, for messages that quote what a user
// sent.
std::string quote(std::string_view text, std::size_t limit = 80);

// Compares secrets in a time that depends on the length alone.
bool equal_secret(std::string_view a, std::string_view b);

}  // namespace vmm
