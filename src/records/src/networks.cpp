#include "network_rows.h"

namespace vmm::records {
namespace {

struct NetworkRow {
    int v = schema_version;
    std::string id;
    std::string name;
    std::string kind;
    std::string range;
    std::string prefix6;
    std::string bridge;
    std::string external_interface;
    unsigned mtu = 0;
    bool dhcp = true;
    std::string pool_first;
    std::string pool_last;
    std::int64_t created_at = 0;
};
BOOST_DESCRIBE_STRUCT(
    NetworkRow,
    (),
    (v,
     id,
     name,
     kind,
     range,
     prefix6,
     bridge,
     external_interface,
     mtu,
     dhcp,
     pool_first,
     pool_last,
     created_at)
)

std::vector<RuleRow> rows_of(const std::vector<domain::FirewallRule>& rules) {
    std::vector<RuleRow> rows;
    for (const auto& rule : rules) {
        rows.push_back(
            {rule.action == domain::FirewallRule::Action::allow,
             static_cast<int>(rule.protocol),
             rule.first_port,
             rule.last_port,
             rule.peer ? domain::text(*rule.peer) : ""}
        );
    }
    return rows;
}

Result<std::vector<domain::FirewallRule>> rules_of(const std::vector<RuleRow>& rows) {
    std::vector<domain::FirewallRule> rules;
    for (const auto& row : rows) {
        domain::FirewallRule rule;
        rule.action = row.allow ? domain::FirewallRule::Action::allow : domain::FirewallRule::Action::deny;
        rule.protocol = static_cast<domain::FirewallRule::Protocol>(row.protocol & 3);
        rule.first_port = row.first_port;
        rule.last_port = row.last_port;
        if (!row.peer.empty()) {
            TRY(rule.peer, domain::parse_range4("peer", row.peer));
        }
        rules.push_back(rule);
    }
    return rules;
}

}  // namespace

InterfaceRow row_of(const domain::Interface& interface) {
    return {
        interface.id,
        interface.network,
        interface.mac,
        interface.ip4 ? domain::text(*interface.ip4) : "",
        interface.ip6 ? domain::text(*interface.ip6) : "",
        interface.up_mbps,
        interface.down_mbps
    };
}

Result<domain::Interface> interface_of(InterfaceRow row) {
    domain::Interface out;
    out.id = std::move(row.id);
    out.network = std::move(row.network);
    out.mac = std::move(row.mac);
    out.ip4 = domain::parse_ip4(row.ip4);
    out.ip6 = domain::parse_ip6(row.ip6);
    out.up_mbps = row.up_mbps;
    out.down_mbps = row.down_mbps;
    if (!domain::parse_mac(out.mac) || (!row.ip4.empty() && !out.ip4) || (!row.ip6.empty() && !out.ip6)) {
        return corrupt("an interface's address is none");
    }
    return out;
}

FirewallRow row_of(const domain::Firewall& firewall) {
    using Action = domain::FirewallRule::Action;
    return {
        rows_of(firewall.inbound),
        rows_of(firewall.outbound),
        firewall.inbound_default == Action::allow,
        firewall.outbound_default == Action::allow
    };
}

Result<domain::Firewall> firewall_of(const FirewallRow& row) {
    using Action = domain::FirewallRule::Action;
    domain::Firewall out;
    TRY(out.inbound, rules_of(row.inbound));
    TRY(out.outbound, rules_of(row.outbound));
    out.inbound_default = row.inbound_allow ? Action::allow : Action::deny;
    out.outbound_default = row.outbound_allow ? Action::allow : Action::deny;
    return out;
}

PortRow row_of(const domain::PublishedPort& port) {
    return {port.protocol, port.host_address, port.host_port, port.guest_port};
}

domain::PublishedPort port_of(PortRow row) {
    return {std::move(row.protocol), std::move(row.host_address), row.host_port, row.guest_port};
}

std::string write(const domain::Network& network) {
    NetworkRow row;
    row.id = network.id;
    row.name = network.name;
    row.kind = name(network.kind);
    row.range = network.routed() ? domain::text(network.range) : "";
    row.prefix6 = network.prefix6 ? domain::text(*network.prefix6) + "/64" : "";
    row.bridge = network.bridge;
    row.external_interface = network.external_interface;
    row.mtu = network.mtu;
    row.dhcp = network.dhcp;
    row.pool_first = domain::text(network.pool_first);
    row.pool_last = domain::text(network.pool_last);
    row.created_at = network.created_at.ms;
    return json::encode(row);
}

Result<domain::Network> read_network(std::string_view text) {
    TRY(auto row, read_row<NetworkRow>(text));
    const auto kind = domain::network_kind_named(row.kind);
    const auto first = domain::parse_ip4(row.pool_first);
    const auto last = domain::parse_ip4(row.pool_last);
    if (!kind || !first || !last) {
        return corrupt("a network's kind or range is none");
    }
    domain::Network out;
    out.id = std::move(row.id);
    out.name = std::move(row.name);
    out.kind = *kind;
    if (!row.range.empty()) {
        TRY(out.range, domain::parse_range4("range", row.range));
    }
    if (!row.prefix6.empty()) {
        TRY(out.prefix6, domain::parse_prefix6("prefix6", row.prefix6));
    }
    out.bridge = std::move(row.bridge);
    out.external_interface = std::move(row.external_interface);
    out.mtu = row.mtu;
    out.dhcp = row.dhcp;
    out.pool_first = *first;
    out.pool_last = *last;
    out.created_at = {row.created_at};
    return out;
}

}  // namespace vmm::records
