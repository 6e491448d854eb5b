#include "vmm/app/networks.h"

#include "vmm/base/text.h"
#include "vmm/wire/networks.h"

#include <algorithm>

#include "handlers.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

using domain::FirewallRule;

Task<wire::NetworkList> all_networks(Service& service) {
    wire::NetworkList out;
    for (const auto& view : service.world.networks->list()) {
        out.networks.push_back(represent(view, service.world.settings.default_network));
    }
    co_return out;
}

Task<app::NetworkView> one_network(Service& service, std::string name) {
    co_return service.world.networks->show(name);
}

Result<FirewallRule::Action> action_of(std::string_view field, const std::optional<std::string>& text) {
    if (!text || *text == "allow") {
        return FirewallRule::Action::allow;
    }
    return *text == "deny" ? Result<FirewallRule::Action>{FirewallRule::Action::deny}
                           : invalid(field, "expected allow or deny, found " + quote(*text));
}

Result<FirewallRule> rule_of(const std::string& field, const wire::FirewallRule& said) {
    FirewallRule out;
    TRY(out.action, action_of(field + ".action", said.action));
    const auto protocol = said.protocol.value_or("any");
    if (protocol == "tcp" || protocol == "udp") {
        out.protocol = protocol == "tcp" ? FirewallRule::Protocol::tcp : FirewallRule::Protocol::udp;
    } else if (protocol == "icmp") {
        out.protocol = FirewallRule::Protocol::icmp;
    } else if (protocol != "any") {
        return invalid(field + ".protocol", "expected any, tcp, udp or icmp, found " + quote(protocol));
    }
    if (said.ports) {
        if (out.protocol != FirewallRule::Protocol::tcp && out.protocol != FirewallRule::Protocol::udp) {
            return invalid(field + ".ports", "only tcp and udp have ports; name one as protocol");
        }
        TRY(const auto ports, domain::parse_ports(field + ".ports", *said.ports));
        out.first_port = ports.first;
        out.last_port = ports.second;
    }
    if (said.peer) {
        TRY(out.peer, domain::parse_range4(field + ".peer", *said.peer));
    }
    return out;
}

Result<std::vector<FirewallRule>>
rules_of(const std::string& field, const std::optional<std::vector<wire::FirewallRule>>& said) {
    std::vector<FirewallRule> out;
    if (said && said->size() > domain::most_rules) {
        return invalid(
            field, "there are at most " + std::to_string(domain::most_rules) + " rules in a direction"
        );
    }
    for (std::size_t i = 0; said && i < said->size(); ++i) {
        TRY(auto rule, rule_of(field + "[" + std::to_string(i) + "]", (*said)[i]));
        out.push_back(rule);
    }
    return out;
}

Result<domain::PublishedPort> port_of(const Service& service, const wire::PublishPort& said) {
    domain::PublishedPort out;
    out.protocol = said.protocol.value_or("tcp");
    out.host_address = said.host_address.value_or(service.world.settings.publish_address);
    out.host_port = said.host_port;
    out.guest_port = said.guest_port;
    if (out.protocol != "tcp" && out.protocol != "udp") {
        return invalid("protocol", "expected tcp or udp, found " + quote(out.protocol));
    }
    if (!domain::parse_ip4(out.host_address)) {
        return invalid("host_address", quote(out.host_address) + " is no IPv4 address");
    }
    if (out.host_port == 0 || out.guest_port == 0) {
        return invalid(out.host_port == 0 ? "host_port" : "guest_port", "expected a port from 1 to 65535");
    }
    return out;
}

Result<app::VmView> shown(const Service& service, const Request& request) {
    auto vm = service.world.registry.find(request.parameters.at("id"));
    if (!vm) {
        return fail(Code::not_found, "there is no such machine, or it is not visible to you");
    }
    return vm;
}

Result<void> check_rate(std::string_view field, const std::optional<std::uint32_t>& mbps) {
    constexpr std::uint32_t most = 16000;
    return !mbps || *mbps <= most
               ? Result<void>{}
               : invalid(
                     field, "expected at most " + std::to_string(most) + ", found " + std::to_string(*mbps)
                 );
}

}  // namespace

Result<app::InterfaceWish> wish_of(const std::string& field, const wire::InterfaceWish& said) {
    CHECK(check_rate(field + "up_mbps", said.up_mbps));
    CHECK(check_rate(field + "down_mbps", said.down_mbps));
    return app::InterfaceWish{
        said.network, said.address.value_or(""), said.up_mbps.value_or(0), said.down_mbps.value_or(0)
    };
}

Task<Reply> list_networks(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto list, co_await on_application(service, all_networks(service)));
    co_return json_reply(200, list);
}

Task<Reply> show_network(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(
        const auto view,
        co_await on_application(service, one_network(service, request.parameters.at("network")))
    );
    co_return json_reply(200, represent(view, service.world.settings.default_network));
}

Task<Reply> create_network(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::CreateNetwork>(request));
    app::NetworkOrder order;
    order.name = std::move(wanted.name);
    const auto said = wanted.kind.value_or(wanted.bridge ? "lan" : "bridge");
    const auto kind = domain::network_kind_named(said);
    if (!kind || *kind == domain::NetworkKind::user) {
        co_return invalid("kind", "expected bridge, isolated or lan, found " + quote(said));
    }
    order.kind = *kind;
    order.ipv4 = wanted.ipv4.value_or("");
    order.ipv6 = wanted.ipv6.value_or("");
    order.pool = wanted.pool.value_or("");
    order.bridge = wanted.bridge.value_or("");
    order.external_interface = wanted.external_interface.value_or("");
    order.mtu = wanted.mtu;
    order.dhcp = wanted.dhcp.value_or(true);
    CO_TRY(
        const auto view,
        co_await on_application(service, service.world.networks->create(std::move(order), request.ticket))
    );
    auto reply = json_reply(201, represent(view, service.world.settings.default_network));
    reply.headers.emplace_back("Location", "/networks/" + view.network.name);
    co_return reply;
}

Task<Reply> delete_network(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    const auto name = request.parameters.at("network");
    CO_CHECK(co_await on_application(service, service.world.networks->remove(name, request.ticket)));
    co_return gone();
}

Task<Reply> list_interfaces(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto vm, shown(service, request));
    wire::InterfaceList list;
    for (const auto& interface : vm->interfaces) {
        list.interfaces.push_back(represent(interface));
    }
    co_return json_reply(200, list);
}

Task<Reply> add_interface(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(const auto wanted, body_of<wire::InterfaceWish>(request));
    CO_TRY(auto wish, wish_of("", wanted));
    const auto id = request.parameters.at("id");
    CO_TRY(
        const auto interface,
        co_await on_application(
            service, service.fleet.plug(request.caller, id, std::move(wish), request.ticket, expected)
        )
    );
    auto reply = json_reply(201, represent(interface));
    reply.headers.emplace_back("Location", "/vms/" + id + "/interfaces/" + interface.id);
    co_return reply;
}

Task<Reply> update_interface(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(const auto wanted, body_of<wire::UpdateInterface>(request));
    CO_CHECK(check_rate("up_mbps", wanted.up_mbps));
    CO_CHECK(check_rate("down_mbps", wanted.down_mbps));
    auto limiting = service.fleet.limit_interface(
        request.caller,
        request.parameters.at("id"),
        request.parameters.at("interface"),
        wanted.up_mbps,
        wanted.down_mbps,
        request.ticket,
        expected
    );
    CO_TRY(const auto interface, co_await on_application(service, std::move(limiting)));
    co_return json_reply(200, represent(interface));
}

Task<Reply> remove_interface(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_CHECK(body_of<wire::Nothing>(request));
    auto unplugging = service.fleet.unplug(
        request.caller,
        request.parameters.at("id"),
        request.parameters.at("interface"),
        request.ticket,
        expected
    );
    CO_CHECK(co_await on_application(service, std::move(unplugging)));
    co_return gone();
}

Task<Reply> show_firewall(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto vm, shown(service, request));
    co_return json_reply(200, represent(vm->firewall));
}

Task<Reply> put_firewall(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(const auto wanted, body_of<wire::Firewall>(request));
    domain::Firewall firewall;
    CO_TRY(firewall.inbound, rules_of("inbound", wanted.inbound));
    CO_TRY(firewall.outbound, rules_of("outbound", wanted.outbound));
    CO_TRY(firewall.inbound_default, action_of("inbound_default", wanted.inbound_default));
    CO_TRY(firewall.outbound_default, action_of("outbound_default", wanted.outbound_default));
    const auto id = request.parameters.at("id");
    CO_CHECK(co_await on_application(
        service, service.fleet.set_firewall(request.caller, id, firewall, request.ticket, expected)
    ));
    co_return json_reply(200, represent(firewall));
}

Task<Reply> list_ports(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto vm, shown(service, request));
    wire::PortList list;
    for (const auto& port : vm->ports) {
        list.ports.push_back(represent(port));
    }
    co_return json_reply(200, list);
}

Task<Reply> publish_port(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(const auto wanted, body_of<wire::PublishPort>(request));
    CO_TRY(const auto port, port_of(service, wanted));
    const auto id = request.parameters.at("id");
    CO_CHECK(co_await on_application(
        service, service.fleet.publish_port(request.caller, id, port, request.ticket, expected)
    ));
    auto reply = json_reply(201, represent(port));
    reply.headers.emplace_back("Location", "/vms/" + id + "/ports/" + std::to_string(port.host_port));
    co_return reply;
}

Task<Reply> unpublish_port(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"protocol"}));
    CO_TRY(const auto expected, if_match(request));
    CO_CHECK(body_of<wire::Nothing>(request));
    const auto number = parse_number<std::uint16_t>(request.parameters.at("port"));
    if (!number) {
        co_return fail(Code::not_found, "there is no port " + quote(request.parameters.at("port")));
    }
    domain::PublishedPort port;
    const auto* protocol = query(request, "protocol");
    port.protocol = protocol == nullptr ? "tcp" : *protocol;
    port.host_port = *number;
    auto ending = service.fleet.unpublish_port(
        request.caller, request.parameters.at("id"), port, request.ticket, expected
    );
    CO_CHECK(co_await on_application(service, std::move(ending)));
    co_return gone();
}

}  // namespace vmm::http
