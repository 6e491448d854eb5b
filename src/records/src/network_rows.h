#pragma once

#include "vmm/domain/vm.h"
#include "vmm/json/encode.h"

#include "row.h"

// What a machine's record says of its place in networks.
namespace vmm::records {

struct InterfaceRow {
    std::string id;
    std::string network;
    std::string mac;
    std::string ip4;
    std::string ip6;
    std::uint32_t up_mbps = 0;
    std::uint32_t down_mbps = 0;
};
BOOST_DESCRIBE_STRUCT(InterfaceRow, (), (id, network, mac, ip4, ip6, up_mbps, down_mbps))

struct RuleRow {
    bool allow = false;
    int protocol = 0;
    std::uint16_t first_port = 0;
    std::uint16_t last_port = 0;
    std::string peer;
};
BOOST_DESCRIBE_STRUCT(RuleRow, (), (allow, protocol, first_port, last_port, peer))

struct FirewallRow {
    std::vector<RuleRow> inbound;
    std::vector<RuleRow> outbound;
    bool inbound_allow = true;
    bool outbound_allow = true;
};
BOOST_DESCRIBE_STRUCT(FirewallRow, (), (inbound, outbound, inbound_allow, outbound_allow))

struct PortRow {
    std::string protocol;
    std::string host_address;
    std::uint16_t host_port = 0;
    std::uint16_t guest_port = 0;
};
BOOST_DESCRIBE_STRUCT(PortRow, (), (protocol, host_address, host_port, guest_port))

InterfaceRow row_of(const domain::Interface& interface);
Result<domain::Interface> interface_of(InterfaceRow row);
FirewallRow row_of(const domain::Firewall& firewall);
Result<domain::Firewall> firewall_of(const FirewallRow& row);
PortRow row_of(const domain::PublishedPort& port);
domain::PublishedPort port_of(PortRow row);

}  // namespace vmm::records
