#pragma once

#include "vmm/base/error.h"
#include "vmm/base/time.h"

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::domain {

// An IPv4 address in host byte order.
struct Ip4 {
    std::uint32_t value = 0;

    auto operator<=>(const Ip4&) const = default;
};

std::string text(Ip4 address);
std::optional<Ip4> parse_ip4(std::string_view text);

// An IPv4 range in CIDR notation; the address is the range's first.
struct Range4 {
    Ip4 first;
    unsigned prefix = 24;

    [[nodiscard]] std::uint32_t size() const { return prefix == 0 ? 0 : 1U << (32 - prefix); }

    [[nodiscard]] bool contains(Ip4 address) const;
    [[nodiscard]] bool overlaps(const Range4& other) const;

    // The host's own address in it: the first one.
    [[nodiscard]] Ip4 gateway() const { return {first.value + 1}; }

    bool operator==(const Range4&) const = default;
};

std::string text(const Range4& range);
// invalid with the field: no CIDR, bits beyond the prefix, or not from /8 to /29.
Result<Range4> parse_range4(std::string_view field, std::string_view text);

// An IPv6 address, and the /64 that it lies in.
using Ip6 = std::array<std::uint8_t, 16>;
std::string text(const Ip6& address);
std::optional<Ip6> parse_ip6(std::string_view text);
// The unique local /64 of the network with this id (RFC 4193, its global id from the network's).
Ip6 unique_local_prefix(std::string_view network);
// A prefix in CIDR notation, /64 and unique local or global. invalid with the field.
Result<Ip6> parse_prefix6(std::string_view field, std::string_view text);

// A MAC address as six lower-case hex pairs.
using Mac = std::string;
std::optional<Mac> parse_mac(std::string_view text);
// The address that a guest forms by itself (RFC 4291, modified EUI-64).
Ip6 address6(const Ip6& prefix, const Mac& mac);

enum class NetworkKind : std::uint8_t {
    user,      // QEMU's own, unprivileged; each machine alone behind the host
    bridge,    // routed through the host by rules of ours, with NAT to the outside
    lan,       // on a bridge that somebody else keeps
    isolated,  // as bridge, without a way to the outside
};

std::string_view name(NetworkKind kind);
std::optional<NetworkKind> network_kind_named(std::string_view name);

inline constexpr std::string_view user_network = "user";
inline constexpr unsigned default_mtu = 1500;

// A network of this host, as it is stored. `user` exists without a record.
struct Network {
    std::string id;
    std::string name;  // also the bridge's name on the host
    NetworkKind kind = NetworkKind::bridge;
    Range4 range;                    // bridge and isolated
    std::optional<Ip6> prefix6;      // bridge and isolated
    std::string bridge;              // lan: the existing bridge
    std::string external_interface;  // bridge: the only way out; empty: whatever the host's routes say
    unsigned mtu = default_mtu;
    bool dhcp = true;
    Ip4 pool_first;  // addresses that are given by themselves, within the range
    Ip4 pool_last;
    Timestamp created_at;

    [[nodiscard]] bool routed() const { return kind == NetworkKind::bridge || kind == NetworkKind::isolated; }
};

inline constexpr std::size_t most_interfaces = 8;  // of one machine

// A machine's place in a network. MAC and addresses stay for its life.
struct Interface {
    std::string id;  // "nic0" to "nic7"
    std::string network;
    Mac mac;
    std::optional<Ip4> ip4;  // in routed networks
    std::optional<Ip6> ip6;
    std::uint32_t up_mbps = 0;  // most megabits (10^6) a second that the guest sends; 0: no limit
    std::uint32_t down_mbps = 0;

    bool operator==(const Interface&) const = default;
};

// MAC address of a machine's n-th interface; locally administered, and nobody else's with near certainty.
Mac derive_mac(std::string_view vm, std::string_view interface);

// An address of the network's pool that is not taken: the one that the machine's id points at, or the next
// free one. exhausted "pool-exhausted".
Result<Ip4> pick_address(const Network& network, std::string_view vm, const std::set<Ip4>& taken);

// The device that stands for an interface on the host: 14 characters, derived from the ids alone.
std::string tap_name(std::string_view vm, std::string_view interface);
// What is common to all of a machine's taps; names its rules.
std::string tap_stem(std::string_view vm);

// Which packets a rule is about. Ports are of the machine for inbound rules, of the peer for outbound ones.
struct FirewallRule {
    enum class Action : std::uint8_t { allow, deny };
    enum class Protocol : std::uint8_t { any, tcp, udp, icmp };
    Action action = Action::allow;
    Protocol protocol = Protocol::any;
    std::uint16_t first_port = 0;  // 0: any
    std::uint16_t last_port = 0;
    std::optional<Range4> peer;

    bool operator==(const FirewallRule&) const = default;
};

inline constexpr std::size_t most_rules = 64;  // in each direction
inline constexpr std::size_t most_published = 64;

// What a machine's owner narrows; what the host forbids stays forbidden. The first rule that fits decides,
// then the default.
struct Firewall {
    std::vector<FirewallRule> inbound;
    std::vector<FirewallRule> outbound;
    FirewallRule::Action inbound_default = FirewallRule::Action::allow;
    FirewallRule::Action outbound_default = FirewallRule::Action::allow;

    bool operator==(const Firewall&) const = default;
};

// A port of the host that leads to a port of the machine.
struct PublishedPort {
    std::string protocol = "tcp";  // or udp
    std::string host_address;      // an IPv4 address of the host; 0.0.0.0: all
    std::uint16_t host_port = 0;
    std::uint16_t guest_port = 0;

    bool operator==(const PublishedPort&) const = default;
};

// "80", "8000-8100". invalid with the field.
Result<std::pair<std::uint16_t, std::uint16_t>> parse_ports(std::string_view field, std::string_view text);

// 1 to 15 of a-z, 0-9 and '-', beginning with a letter; "user" is taken. invalid "name".
Result<void> check_network_name(std::string_view name);

// What a stretched-out range FIRST-LAST of one /24 or shorter means. invalid with the field.
Result<std::pair<Ip4, Ip4>> parse_pool(std::string_view field, std::string_view text);

}  // namespace vmm::domain
