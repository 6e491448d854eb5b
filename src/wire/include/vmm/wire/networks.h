#pragma once

#include <boost/describe.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// Networks, and machines' places in them.
namespace vmm::wire {

// Where a machine is to be attached.
struct InterfaceWish {
    std::string network;
    std::optional<std::string> address;  // IPv4
    std::optional<std::uint32_t> up_mbps;
    std::optional<std::uint32_t> down_mbps;
    static constexpr std::array required{"network"};
};
BOOST_DESCRIBE_STRUCT(InterfaceWish, (), (network, address, up_mbps, down_mbps))

struct CreateNetwork {
    std::string name;
    std::optional<std::string> kind;                // bridge (the default), isolated or lan
    std::optional<std::string> ipv4;                // a range such as 10.20.0.0/24
    std::optional<std::string> ipv6;                // a /64, or "none"
    std::optional<std::string> pool;                // FIRST-LAST
    std::optional<std::string> bridge;              // of a lan: the host's bridge
    std::optional<std::string> external_interface;  // the only way out
    std::optional<std::uint32_t> mtu;
    std::optional<bool> dhcp;
    static constexpr std::array required{"name"};
};
BOOST_DESCRIBE_STRUCT(
    CreateNetwork,
    (),
    (name, kind, ipv4, ipv6, pool, bridge, external_interface, mtu, dhcp)
)

struct Network {
    std::string name;
    std::string kind;
    std::optional<std::string> ipv4;
    std::optional<std::string> ipv6;
    std::optional<std::string> gateway;
    std::optional<std::string> pool;
    std::optional<std::string> bridge;
    std::optional<std::string> external_interface;
    std::uint32_t mtu = 0;
    bool dhcp = false;
    bool is_default = false;
    std::string status;                 // ready or degraded
    std::optional<std::string> reason;  // of a degraded one
    std::uint64_t machines = 0;
    std::optional<std::string> created_at;
};
BOOST_DESCRIBE_STRUCT(
    Network,
    (),
    (name,
     kind,
     ipv4,
     ipv6,
     gateway,
     pool,
     bridge,
     external_interface,
     mtu,
     dhcp,
     is_default,
     status,
     reason,
     machines,
     created_at)
)

struct NetworkList {
    std::vector<Network> networks;
};
BOOST_DESCRIBE_STRUCT(NetworkList, (), (networks))

struct Interface {
    std::string id;
    std::string network;
    std::string mac;
    std::vector<std::string> addresses;
    std::uint32_t up_mbps = 0;
    std::uint32_t down_mbps = 0;
};
BOOST_DESCRIBE_STRUCT(Interface, (), (id, network, mac, addresses, up_mbps, down_mbps))

struct InterfaceList {
    std::vector<Interface> interfaces;
};
BOOST_DESCRIBE_STRUCT(InterfaceList, (), (interfaces))

struct UpdateInterface {
    std::optional<std::uint32_t> up_mbps;
    std::optional<std::uint32_t> down_mbps;
};
BOOST_DESCRIBE_STRUCT(UpdateInterface, (), (up_mbps, down_mbps))

struct FirewallRule {
    std::string action;                   // allow or deny
    std::optional<std::string> protocol;  // any (the default), tcp, udp or icmp
    std::optional<std::string> ports;     // "80" or "8000-8100"
    std::optional<std::string> peer;      // an IPv4 range
    static constexpr std::array required{"action"};
};
BOOST_DESCRIBE_STRUCT(FirewallRule, (), (action, protocol, ports, peer))

struct Firewall {
    std::optional<std::vector<FirewallRule>> inbound;
    std::optional<std::vector<FirewallRule>> outbound;
    std::optional<std::string> inbound_default;  // allow (the default) or deny
    std::optional<std::string> outbound_default;
};
BOOST_DESCRIBE_STRUCT(Firewall, (), (inbound, outbound, inbound_default, outbound_default))

struct PublishPort {
    std::uint16_t host_port = 0;
    std::uint16_t guest_port = 0;
    std::optional<std::string> protocol;  // tcp (the default) or udp
    std::optional<std::string> host_address;
    static constexpr std::array required{"host_port", "guest_port"};
};
BOOST_DESCRIBE_STRUCT(PublishPort, (), (host_port, guest_port, protocol, host_address))

struct PublishedPort {
    std::uint16_t host_port = 0;
    std::uint16_t guest_port = 0;
    std::string protocol;
    std::string host_address;
};
BOOST_DESCRIBE_STRUCT(PublishedPort, (), (host_port, guest_port, protocol, host_address))

struct PortList {
    std::vector<PublishedPort> ports;
};
BOOST_DESCRIBE_STRUCT(PortList, (), (ports))

}  // namespace vmm::wire
