#include "represent.h"

namespace vmm::http {
namespace {

using domain::FirewallRule;

std::optional<std::string> unless_empty(const std::string& value) {
    return value.empty() ? std::nullopt : std::optional{value};
}

std::string word(FirewallRule::Action action) {
    return action == FirewallRule::Action::allow ? "allow" : "deny";
}

std::vector<wire::FirewallRule> represent(const std::vector<FirewallRule>& rules) {
    constexpr std::array<std::string_view, 4> protocols{"any", "tcp", "udp", "icmp"};
    std::vector<wire::FirewallRule> out;
    for (const auto& rule : rules) {
        wire::FirewallRule shown;
        shown.action = word(rule.action);
        shown.protocol = protocols[static_cast<std::size_t>(rule.protocol)];
        if (rule.first_port != 0) {
            shown.ports = std::to_string(rule.first_port);
            if (rule.last_port != rule.first_port) {
                shown.ports->append("-").append(std::to_string(rule.last_port));
            }
        }
        if (rule.peer) {
            shown.peer = domain::text(*rule.peer);
        }
        out.push_back(std::move(shown));
    }
    return out;
}

}  // namespace

wire::Network represent(const app::NetworkView& view, const std::string& default_network) {
    const auto& network = view.network;
    wire::Network out;
    out.name = network.name;
    out.kind = name(network.kind);
    if (network.routed()) {
        out.ipv4 = domain::text(network.range);
        out.gateway = domain::text(network.range.gateway());
        out.pool = domain::text(network.pool_first) + "-" + domain::text(network.pool_last);
        out.dhcp = network.dhcp;
    }
    if (network.prefix6) {
        out.ipv6 = domain::text(*network.prefix6) + "/64";
    }
    out.bridge = unless_empty(network.bridge);
    out.external_interface = unless_empty(network.external_interface);
    out.mtu = network.mtu;
    out.is_default = network.name == default_network;
    out.status = view.problem.empty() ? "ready" : "degraded";
    out.reason = unless_empty(view.problem);
    out.machines = view.machines;
    if (network.kind != domain::NetworkKind::user) {
        out.created_at = rfc3339(network.created_at);
    }
    return out;
}

wire::Interface represent(const domain::Interface& interface) {
    wire::Interface out;
    out.id = interface.id;
    out.network = interface.network;
    out.mac = interface.mac;
    if (interface.ip4) {
        out.addresses.push_back(domain::text(*interface.ip4));
    }
    if (interface.ip6) {
        out.addresses.push_back(domain::text(*interface.ip6));
    }
    out.up_mbps = interface.up_mbps;
    out.down_mbps = interface.down_mbps;
    return out;
}

wire::Firewall represent(const domain::Firewall& firewall) {
    wire::Firewall out;
    out.inbound = represent(firewall.inbound);
    out.outbound = represent(firewall.outbound);
    out.inbound_default = word(firewall.inbound_default);
    out.outbound_default = word(firewall.outbound_default);
    return out;
}

wire::PublishedPort represent(const domain::PublishedPort& port) {
    return {port.host_port, port.guest_port, port.protocol, port.host_address};
}

}  // namespace vmm::http
