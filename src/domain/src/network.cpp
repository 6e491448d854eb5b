#include "vmm/domain/network.h"

#include "vmm/base/text.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace vmm::domain {
namespace {

constexpr std::array<std::pair<NetworkKind, std::string_view>, 4> kinds{{
    {NetworkKind::user, "user"},
    {NetworkKind::bridge, "bridge"},
    {NetworkKind::lan, "lan"},
    {NetworkKind::isolated, "isolated"},
}};

// FNV-1a: spreads ids over addresses; nothing secret hangs on it.
std::uint64_t spread(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325ULL) {
    for (const char c : text) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
    return hash ^ (hash >> 29);
}

// Everything between separators, nothing left out.
std::vector<std::string_view> pieces(std::string_view text, char separator) {
    std::vector<std::string_view> out;
    while (true) {
        const auto end = text.find(separator);
        out.push_back(text.substr(0, end));
        if (end == std::string_view::npos) {
            return out;
        }
        text.remove_prefix(end + 1);
    }
}

std::string hex_pair(std::uint8_t byte) {
    constexpr std::string_view digits = "0123456789abcdef";
    return {digits[byte >> 4], digits[byte & 15]};
}

std::uint32_t mask(unsigned prefix) {
    return prefix == 0 ? 0 : ~0U << (32 - prefix);
}

}  // namespace

std::string text(Ip4 address) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) {
        out.append(out.empty() ? "" : ".").append(std::to_string(address.value >> shift & 255));
    }
    return out;
}

std::optional<Ip4> parse_ip4(std::string_view text) {
    const auto parts = pieces(text, '.');
    if (parts.size() != 4) {
        return std::nullopt;
    }
    Ip4 out;
    for (const auto part : parts) {
        const auto byte = parse_number<std::uint8_t>(part);
        if (!byte || (part.size() > 1 && part.front() == '0')) {
            return std::nullopt;
        }
        out.value = out.value << 8 | *byte;
    }
    return out;
}

bool Range4::contains(Ip4 address) const {
    return (address.value & mask(prefix)) == first.value;
}

bool Range4::overlaps(const Range4& other) const {
    const auto common = mask(std::min(prefix, other.prefix));
    return (first.value & common) == (other.first.value & common);
}

std::string text(const Range4& range) {
    return text(range.first) + "/" + std::to_string(range.prefix);
}

Result<Range4> parse_range4(std::string_view field, std::string_view text) {
    const auto slash = text.find('/');
    const auto address = parse_ip4(text.substr(0, slash));
    const auto prefix = slash == std::string_view::npos ? std::optional<unsigned>{32}
                                                        : parse_number<unsigned>(text.substr(slash + 1));
    if (!address || !prefix || *prefix > 32) {
        return invalid(field, "expected an IPv4 range such as 10.20.0.0/24, found " + quote(text));
    }
    if ((address->value & ~mask(*prefix)) != 0) {
        const Range4 meant{{address->value & mask(*prefix)}, *prefix};
        return invalid(
            field, quote(text) + " has bits beyond its prefix; the range is " + domain::text(meant)
        );
    }
    return Range4{*address, *prefix};
}

// The groups of an address with at most one "::"; nothing when it is none.
std::optional<Ip6> parse_ip6(std::string_view text) {
    std::vector<std::uint16_t> head;
    std::vector<std::uint16_t> tail;
    const auto gap = text.find("::");
    const auto read = [](std::string_view part, std::vector<std::uint16_t>& into) {
        for (const auto group : pieces(part, ':')) {
            std::uint16_t value = 0;
            const auto [end, error] = std::from_chars(group.data(), group.data() + group.size(), value, 16);
            if (group.empty() || group.size() > 4 || error != std::errc{} ||
                end != group.data() + group.size()) {
                return false;
            }
            into.push_back(value);
        }
        return true;
    };
    const auto before = text.substr(0, gap);
    const auto after = gap == std::string_view::npos ? std::string_view{} : text.substr(gap + 2);
    if ((!before.empty() && !read(before, head)) || (!after.empty() && !read(after, tail))) {
        return std::nullopt;
    }
    const auto count = head.size() + tail.size();
    if (gap == std::string_view::npos ? count != 8 : count > 7) {
        return std::nullopt;
    }
    head.resize(8 - tail.size());
    head.insert(head.end(), tail.begin(), tail.end());
    Ip6 out{};
    for (std::size_t i = 0; i < 8; ++i) {
        out[2 * i] = static_cast<std::uint8_t>(head[i] >> 8);
        out[2 * i + 1] = static_cast<std::uint8_t>(head[i] & 255);
    }
    return out;
}

std::string text(const Ip6& address) {
    // The longest run of zero groups becomes "::" (RFC 5952).
    std::array<unsigned, 8> groups{};
    for (std::size_t i = 0; i < 8; ++i) {
        groups[i] = static_cast<unsigned>(address[2 * i]) << 8 | address[2 * i + 1];
    }
    std::size_t best = 8;
    std::size_t length = 1;
    for (std::size_t i = 0; i < 8; ++i) {
        std::size_t j = i;
        while (j < 8 && groups[j] == 0) {
            ++j;
        }
        if (j - i > length) {
            best = i;
            length = j - i;
        }
    }
    std::string out;
    for (std::size_t i = 0; i < 8; ++i) {
        if (i == best) {
            out.append("::");
            i += length - 1;
            continue;
        }
        std::array<char, 8> group{};
        std::snprintf(group.data(), group.size(), "%x", groups[i]);
        out.append(out.empty() || out.ends_with(':') ? "" : ":").append(group.data());
    }
    return out;
}

Ip6 unique_local_prefix(std::string_view network) {
    Ip6 out{0xfd};
    const auto hash = spread(network);
    for (std::size_t i = 1; i < 6; ++i) {
        out[i] = static_cast<std::uint8_t>(hash >> (8 * i));
    }
    return out;
}

Result<Ip6> parse_prefix6(std::string_view field, std::string_view text) {
    const auto slash = text.find('/');
    const auto address = parse_ip6(text.substr(0, slash));
    const bool host_bits =
        address &&
        std::ranges::any_of(address->begin() + 8, address->end(), [](auto byte) { return byte != 0; });
    if (!address || slash == std::string_view::npos || text.substr(slash) != "/64" || host_bits) {
        return invalid(field, "expected an IPv6 prefix such as fd00:1:2:3::/64, found " + quote(text));
    }
    const bool usable = (address->front() & 0xfe) == 0xfc || (address->front() & 0xe0) == 0x20;
    if (!usable) {
        return invalid(field, quote(text) + " is neither unique local (fc00::/7) nor global (2000::/3)");
    }
    return *address;
}

std::optional<Mac> parse_mac(std::string_view text) {
    auto out = lower(text);
    const auto parts = pieces(out, ':');
    const bool whole =
        parts.size() == 6 && std::ranges::all_of(parts, [](std::string_view part) {
            return part.size() == 2 && part.find_first_not_of("0123456789abcdef") == std::string_view::npos;
        });
    return whole ? std::optional{out} : std::nullopt;
}

Ip6 address6(const Ip6& prefix, const Mac& mac) {
    auto bytes = *from_hex(
        mac.substr(0, 2) + mac.substr(3, 2) + mac.substr(6, 2) + mac.substr(9, 2) + mac.substr(12, 2) +
        mac.substr(15, 2)
    );
    Ip6 out = prefix;
    const std::array<std::uint8_t, 8> interface{
        static_cast<std::uint8_t>(bytes[0] ^ 2), bytes[1], bytes[2], 0xff, 0xfe, bytes[3], bytes[4], bytes[5]
    };
    std::ranges::copy(interface, out.begin() + 8);
    return out;
}

std::string_view name(NetworkKind kind) {
    return std::ranges::find(kinds, kind, &std::pair<NetworkKind, std::string_view>::first)->second;
}

std::optional<NetworkKind> network_kind_named(std::string_view name) {
    const auto found = std::ranges::find(kinds, name, &std::pair<NetworkKind, std::string_view>::second);
    return found == kinds.end() ? std::nullopt : std::optional{found->first};
}

Mac derive_mac(std::string_view vm, std::string_view interface) {
    const auto hash = spread(interface, spread(vm));
    // Locally administered, and not 52:54:00, which other programs use.
    std::string out = "06";
    for (int i = 0; i < 5; ++i) {
        out.append(":").append(hex_pair(static_cast<std::uint8_t>(hash >> (8 * i))));
    }
    return out;
}

std::string tap_stem(std::string_view vm) {
    return "v" + std::string{vm.substr(vm.size() < 12 ? 0 : vm.size() - 12)};
}

std::string tap_name(std::string_view vm, std::string_view interface) {
    return tap_stem(vm) + std::string{interface.substr(interface.size() - 1)};
}

Result<Ip4> pick_address(const Network& network, std::string_view vm, const std::set<Ip4>& taken) {
    const auto count = network.pool_last.value - network.pool_first.value + 1;
    const auto start = static_cast<std::uint32_t>(spread(vm) % count);
    for (std::uint32_t i = 0; i < count; ++i) {
        const Ip4 candidate{network.pool_first.value + (start + i) % count};
        if (!taken.contains(candidate)) {
            return candidate;
        }
    }
    return fail(Error{
        Code::conflict,
        "the network " + quote(network.name) + " has no free address: all " + std::to_string(count) +
            " from " + text(network.pool_first) + " to " + text(network.pool_last) + " are taken"
    }
                    .with_slug("pool-exhausted")
                    .with_field("networks"));
}

Result<std::pair<std::uint16_t, std::uint16_t>> parse_ports(std::string_view field, std::string_view text) {
    const auto dash = text.find('-');
    const auto first = parse_number<std::uint16_t>(text.substr(0, dash));
    const auto last =
        dash == std::string_view::npos ? first : parse_number<std::uint16_t>(text.substr(dash + 1));
    if (!first || !last || *first == 0 || *last < *first) {
        return invalid(
            field, "expected a port such as 80 or a range such as 8000-8100, found " + quote(text)
        );
    }
    return std::pair{*first, *last};
}

Result<void> check_network_name(std::string_view name) {
    const bool made =
        !name.empty() && name.size() <= 15 && name.front() >= 'a' && name.front() <= 'z' &&
        name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string_view::npos;
    if (!made) {
        return invalid(
            "name",
            "a network's name has 1 to 15 of a-z, 0-9 and '-' and begins with a letter, because its bridge "
            "is "
            "named after it; found " +
                quote(name)
        );
    }
    if (name == user_network) {
        return invalid("name", "\"user\" is the network that is always there");
    }
    return {};
}

Result<std::pair<Ip4, Ip4>> parse_pool(std::string_view field, std::string_view text) {
    const auto dash = text.find('-');
    const auto first = parse_ip4(trim(text.substr(0, dash)));
    const auto last = dash == std::string_view::npos ? std::nullopt : parse_ip4(trim(text.substr(dash + 1)));
    if (!first || !last || *last < *first) {
        return invalid(field, "expected a range such as 192.168.122.2-192.168.122.254, found " + quote(text));
    }
    return std::pair{*first, *last};
}

}  // namespace vmm::domain
