#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <cstdio>

#include "app.h"
#include "client.h"
#include "output.h"

namespace vmm::cli {
namespace {

json::Value text(std::string value) {
    return json::Value{std::move(value)};
}

std::string joined(const json::Value& list) {
    std::string out;
    if (const auto* items = list.as<json::List>()) {
        for (const auto& item : *items) {
            if (const auto* one = item.as<std::string>()) {
                out.append(out.empty() ? "" : " ").append(*one);
            }
        }
    }
    return out;
}

Result<void> list_networks(const Settings& settings) {
    Client client{settings};
    TRY(const auto answer, client.call("GET", "/networks"));
    if (settings.output == "json") {
        print_json(answer);
        return {};
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& network : *answer.find("networks")->as<json::List>()) {
        rows.push_back({
            shown(network, "name"),
            shown(network, "kind"),
            shown(network, "ipv4"),
            shown(network, "ipv6"),
            shown(network, "machines"),
            shown(network, "status"),
        });
    }
    print_table({"NAME", "KIND", "IPV4", "IPV6", "MACHINES", "STATUS"}, rows);
    return {};
}

Result<void> list_interfaces(const Settings& settings, const std::string& vm) {
    Client client{settings};
    TRY(const auto id, client.resolve(vm));
    TRY(const auto answer, client.call("GET", "/vms/" + id + "/interfaces"));
    if (settings.output == "json") {
        print_json(answer);
        return {};
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& one : *answer.find("interfaces")->as<json::List>()) {
        rows.push_back({
            shown(one, "id"),
            shown(one, "network"),
            shown(one, "mac"),
            joined(*one.find("addresses")),
            shown(one, "up_mbps"),
            shown(one, "down_mbps"),
        });
    }
    print_table({"ID", "NETWORK", "MAC", "ADDRESSES", "UP MBIT/S", "DOWN MBIT/S"}, rows);
    return {};
}

struct NetworkOptions {
    std::string name;
    std::string kind;
    std::string ipv4;
    std::string ipv6;
    std::string pool;
    std::string bridge;
    std::string external_interface;
    std::optional<std::int64_t> mtu;
    bool no_dhcp = false;
};

Result<void> create_network(const Settings& settings, const NetworkOptions& options) {
    json::Object body;
    const auto add = [&body](const char* name, const std::string& value) {
        if (!value.empty()) {
            body.emplace_back(name, text(value));
        }
    };
    add("name", options.name);
    add("kind", options.kind);
    add("ipv4", options.ipv4);
    add("ipv6", options.ipv6);
    add("pool", options.pool);
    add("bridge", options.bridge);
    add("external_interface", options.external_interface);
    if (options.mtu) {
        body.emplace_back("mtu", json::Value::integer(*options.mtu));
    }
    if (options.no_dhcp) {
        body.emplace_back("dhcp", json::Value{false});
    }
    Client client{settings};
    TRY(const auto made, client.call("POST", "/networks", json::compact(json::Value{std::move(body)})));
    print_object(settings, made);
    return {};
}

struct NicOptions {
    std::string vm;
    std::string network;
    std::string nic;
    std::string address;
    std::optional<std::int64_t> up_mbps;
    std::optional<std::int64_t> down_mbps;
};

json::Object limits_of(const NicOptions& options) {
    json::Object body;
    if (options.up_mbps) {
        body.emplace_back("up_mbps", json::Value::integer(*options.up_mbps));
    }
    if (options.down_mbps) {
        body.emplace_back("down_mbps", json::Value::integer(*options.down_mbps));
    }
    return body;
}

Result<void> attach(const Settings& settings, const NicOptions& options) {
    Client client{settings};
    TRY(const auto id, client.resolve(options.vm));
    auto body = limits_of(options);
    body.emplace_back("network", text(options.network));
    if (!options.address.empty()) {
        body.emplace_back("address", text(options.address));
    }
    TRY(const auto made,
        client.call("POST", "/vms/" + id + "/interfaces", json::compact(json::Value{std::move(body)})));
    print_object(settings, made);
    return {};
}

Result<void> change_nic(const Settings& settings, const NicOptions& options, bool remove) {
    Client client{settings};
    TRY(const auto id, client.resolve(options.vm));
    const auto target = "/vms/" + id + "/interfaces/" + options.nic;
    if (remove) {
        CHECK(client.call("DELETE", target));
        std::printf("%s detached from %s\n", options.nic.c_str(), options.vm.c_str());
        return {};
    }
    TRY(const auto changed, client.call("PATCH", target, json::compact(json::Value{limits_of(options)})));
    print_object(settings, changed);
    return {};
}

// 8080:80 or 5353:53/udp, an address before it or not: 127.0.0.1:8080:80.
struct Mapping {
    std::string address;
    std::int64_t host_port = 0;
    std::int64_t guest_port = 0;
    std::string protocol = "tcp";
};

Result<Mapping> mapping_of(const std::string& said) {
    Mapping out;
    const auto slash = said.find('/');
    out.protocol = slash == std::string::npos ? "tcp" : said.substr(slash + 1);
    const auto parts = split(std::string_view{said}.substr(0, slash), ':');
    const auto count = parts.size();
    const auto host = count < 2 ? std::nullopt : parse_number<std::uint16_t>(parts[count - 2]);
    const auto guest = count < 2 ? std::nullopt : parse_number<std::uint16_t>(parts[count - 1]);
    if (count > 3 || !host || !guest) {
        return invalid(
            "port", "expected HOST_PORT:GUEST_PORT, as 8080:80 or 127.0.0.1:5353:53/udp, found " + quote(said)
        );
    }
    out.address = count == 3 ? parts[0] : "";
    out.host_port = *host;
    out.guest_port = *guest;
    return out;
}

Result<void> list_ports(const Settings& settings, const std::string& vm) {
    Client client{settings};
    TRY(const auto id, client.resolve(vm));
    TRY(const auto answer, client.call("GET", "/vms/" + id + "/ports"));
    if (settings.output == "json") {
        print_json(answer);
        return {};
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& port : *answer.find("ports")->as<json::List>()) {
        rows.push_back(
            {shown(port, "host_address") + ":" + shown(port, "host_port"),
             shown(port, "guest_port"),
             shown(port, "protocol")}
        );
    }
    print_table({"HOST", "GUEST PORT", "PROTOCOL"}, rows);
    return {};
}

Result<void>
add_ports(const Settings& settings, const std::string& vm, const std::vector<std::string>& mappings) {
    Client client{settings};
    TRY(const auto id, client.resolve(vm));
    for (const auto& said : mappings) {
        TRY(const auto mapping, mapping_of(said));
        json::Object body;
        body.emplace_back("host_port", json::Value::integer(mapping.host_port));
        body.emplace_back("guest_port", json::Value::integer(mapping.guest_port));
        body.emplace_back("protocol", text(mapping.protocol));
        if (!mapping.address.empty()) {
            body.emplace_back("host_address", text(mapping.address));
        }
        TRY(const auto made,
            client.call("POST", "/vms/" + id + "/ports", json::compact(json::Value{std::move(body)})));
        if (settings.output == "json") {
            print_json(made);
        } else {
            std::printf(
                "%s:%s leads to port %s of %s\n",
                shown(made, "host_address").c_str(),
                shown(made, "host_port").c_str(),
                shown(made, "guest_port").c_str(),
                vm.c_str()
            );
        }
    }
    return {};
}

Result<void> remove_port(const Settings& settings, const std::string& vm, const std::string& said) {
    Client client{settings};
    TRY(const auto id, client.resolve(vm));
    const auto slash = said.find('/');
    const auto protocol = slash == std::string::npos ? "tcp" : said.substr(slash + 1);
    CHECK(client.call(
        "DELETE", "/vms/" + id + "/ports/" + said.substr(0, slash) + "?protocol=" + query_escaped(protocol)
    ));
    std::printf("%s is published no more\n", said.c_str());
    return {};
}

Result<void> firewall(const Settings& settings, const std::string& vm, const std::string& file) {
    Client client{settings};
    TRY(const auto id, client.resolve(vm));
    const auto target = "/vms/" + id + "/firewall";
    if (file.empty()) {
        TRY(const auto rules, client.call("GET", target));
        print_json(rules);
        return {};
    }
    TRY(const auto rules, read_file(file));
    TRY(const auto set, client.call("PUT", target, rules));
    print_json(set);
    return {};
}

}  // namespace

void Vmctl::add_network_commands() {
    auto* net = command("net", "Networks, and machines' places in them");
    net->require_subcommand(1);
    action(command("ls", "List the host's networks", net), [this] { return list_networks(settings_); });

    auto* showing = command("show", "Show a network", net);
    auto shown_name = std::make_shared<std::string>();
    showing->add_option("name", *shown_name, "The network's name")->required();
    action(showing, [this, shown_name]() -> Result<void> {
        Client client{settings_};
        TRY(const auto network, client.call("GET", "/networks/" + query_escaped(*shown_name)));
        print_object(settings_, network);
        return {};
    });

    auto* creating = command("create", "Make a network; administrators only", net);
    auto options = std::make_shared<NetworkOptions>();
    creating->add_option("name", options->name, "Its name, and its bridge's")->required();
    creating->add_option("--kind", options->kind, "bridge, isolated or lan");
    creating->add_option("--ipv4", options->ipv4, "Its range, such as 10.20.0.0/24; a free one otherwise");
    creating->add_option("--ipv6", options->ipv6, "Its /64, or none; a unique local one otherwise");
    creating->add_option("--pool", options->pool, "FIRST-LAST: addresses given by themselves");
    creating->add_option("--bridge", options->bridge, "Of a lan: the host's bridge");
    creating->add_option("--external-interface", options->external_interface, "The only way out");
    creating->add_option("--mtu", options->mtu, "Largest packet");
    creating->add_flag("--no-dhcp", options->no_dhcp, "Addresses come by cloud-init alone");
    action(creating, [this, options] { return create_network(settings_, *options); });

    auto* removing = command("rm", "Remove a network that no machine is in", net);
    auto name = std::make_shared<std::string>();
    removing->add_option("name", *name, "The network's name")->required();
    action(removing, [this, name]() -> Result<void> {
        Client client{settings_};
        CHECK(client.call("DELETE", "/networks/" + query_escaped(*name)));
        std::printf("%s removed\n", name->c_str());
        return {};
    });

    auto nic = std::make_shared<NicOptions>();
    auto* interfaces = command("interfaces", "List a machine's interfaces", net);
    interfaces->add_option("vm", nic->vm, "Name or id")->required();
    action(interfaces, [this, nic] { return list_interfaces(settings_, nic->vm); });
    auto* attaching = command("attach", "Put a machine into one more network, at once when it runs", net);
    attaching->add_option("vm", nic->vm, "Name or id")->required();
    attaching->add_option("network", nic->network, "The network's name")->required();
    attaching->add_option("--address", nic->address, "IPv4 address; one for life is derived otherwise");
    auto* limiting = command("limit", "Limit an interface's bandwidth; 0 is no limit", net);
    limiting->add_option("vm", nic->vm, "Name or id")->required();
    limiting->add_option("interface", nic->nic, "Such as nic0")->required();
    for (auto* each : {attaching, limiting}) {
        each->add_option("--up", nic->up_mbps, "Most megabits a second that the guest sends");
        each->add_option("--down", nic->down_mbps, "Most megabits a second that it receives");
    }
    auto* detaching = command("detach", "Take a machine out of a network", net);
    detaching->add_option("vm", nic->vm, "Name or id")->required();
    detaching->add_option("interface", nic->nic, "Such as nic1")->required();
    action(attaching, [this, nic] { return attach(settings_, *nic); });
    action(limiting, [this, nic] { return change_nic(settings_, *nic, false); });
    action(detaching, [this, nic] { return change_nic(settings_, *nic, true); });
}

void Vmctl::add_port_commands() {
    auto* ports = command("ports", "Ports of the host that lead to machines");
    ports->require_subcommand(1);
    auto vm = std::make_shared<std::string>();
    auto* listing = command("ls", "List a machine's published ports", ports);
    listing->add_option("vm", *vm, "Name or id")->required();
    action(listing, [this, vm] { return list_ports(settings_, *vm); });
    auto* adding = command("add", "Publish ports, at once", ports);
    auto mappings = std::make_shared<std::vector<std::string>>();
    adding->add_option("vm", *vm, "Name or id")->required();
    adding
        ->add_option("port", *mappings, "HOST_PORT:GUEST_PORT[/udp], an address of the host before it or not")
        ->required();
    action(adding, [this, vm, mappings] { return add_ports(settings_, *vm, *mappings); });
    auto* removing = command("rm", "Publish a port no more", ports);
    auto port = std::make_shared<std::string>();
    removing->add_option("vm", *vm, "Name or id")->required();
    removing->add_option("port", *port, "HOST_PORT[/udp]")->required();
    action(removing, [this, vm, port] { return remove_port(settings_, *vm, *port); });

    auto* rules = command("firewall", "Show a machine's own rules, or replace them");
    auto file = std::make_shared<std::string>();
    rules->add_option("vm", *vm, "Name or id")->required();
    rules->add_option("--set", *file, "File with the new rules as JSON");
    action(rules, [this, vm, file] { return firewall(settings_, *vm, *file); });
}

}  // namespace vmm::cli
