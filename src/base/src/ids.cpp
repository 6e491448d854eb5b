#include "vmm/base/ids.h"

#include "vmm/base/text.h"

#include <sys/random.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <random>

namespace vmm {
namespace {

constexpr std::string_view digits = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr std::size_t id_digits = 26;

int digit_value(char c) {
    const auto at = digits.find(c);
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// 128 bits as 26 digits of 5 bits, most significant first; the first digit carries only 3 bits.
std::string crockford(const std::array<std::uint8_t, 16>& bytes) {
    std::string text(id_digits, '0');
    unsigned __int128 value = 0;
    for (const auto byte : bytes) {
        value = (value << 8) | byte;
    }
    for (std::size_t i = id_digits; i-- > 0; value >>= 5) {
        text[i] = digits[static_cast<std::size_t>(value & 31)];
    }
    return text;
}

}  // namespace

void fill_random(std::span<std::uint8_t> bytes) {
    while (!bytes.empty()) {
        const auto got = getrandom(bytes.data(), bytes.size(), 0);
        if (got > 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(got));
        }
    }
}

std::array<std::uint8_t, 16> new_uuid() {
    static std::mutex mutex;
    static std::uint64_t last = 0;  // milliseconds << 12 | counter: the part that must grow
    std::uint64_t stamp = 0;
    {
        const std::lock_guard lock{mutex};
        const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
                             std::chrono::system_clock::now().time_since_epoch()
        )
                             .count();
        stamp = std::max(static_cast<std::uint64_t>(now) << 12, last + 1);
        last = stamp;
    }
    // Ids are unique, not secret: a generator seeded once per thread will do.
    thread_local std::mt19937_64 generator = [] {
        std::array<std::uint8_t, 8> seed{};
        fill_random(seed);
        std::uint64_t value = 0;
        std::memcpy(&value, seed.data(), sizeof value);
        return std::mt19937_64{value};
    }();
    std::array<std::uint8_t, 16> uuid{};
    const std::uint64_t tail = generator();
    std::memcpy(uuid.data() + 8, &tail, sizeof tail);
    const std::uint64_t millis = stamp >> 12;
    for (std::size_t i = 0; i < 6; ++i) {
        uuid[i] = static_cast<std::uint8_t>(millis >> (40 - 8 * i));
    }
    uuid[6] = static_cast<std::uint8_t>(0x70 | ((stamp >> 8) & 0x0f));
    uuid[7] = static_cast<std::uint8_t>(stamp);
    uuid[8] = static_cast<std::uint8_t>(0x80 | (uuid[8] & 0x3f));
    return uuid;
}

std::string new_id(std::string_view prefix) {
    std::string id{prefix};
    return id.append("-").append(crockford(new_uuid()));
}

bool is_id(std::string_view prefix, std::string_view text) {
    if (text.size() != prefix.size() + 1 + id_digits || !text.starts_with(prefix) ||
        text[prefix.size()] != '-') {
        return false;
    }
    const auto body = text.substr(prefix.size() + 1);
    for (const char c : body) {
        if (digit_value(c) < 0) {
            return false;
        }
    }
    return digit_value(body[0]) < 8;
}

std::string uuid_of(std::string_view id) {
    unsigned __int128 value = 0;
    for (const char c : id.substr(id.size() - id_digits)) {
        value = (value << 5) | static_cast<unsigned>(digit_value(c));
    }
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t i = 16; i-- > 0; value >>= 8) {
        bytes[i] = static_cast<std::uint8_t>(value);
    }
    std::string text = to_hex(bytes);
    for (const std::size_t dash : {8U, 13U, 18U, 23U}) {
        text.insert(dash, "-");
    }
    return text;
}

std::string random_text(std::size_t bytes) {
    std::string text;
    std::uint8_t byte = 0;
    for (std::size_t i = 0; i < (bytes * 8 + 4) / 5; ++i) {
        fill_random({&byte, 1});
        text += digits[byte & 31];
    }
    return text;
}

}  // namespace vmm
