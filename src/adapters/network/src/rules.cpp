#include "rules.h"

#include "vmm/base/text.h"

namespace vmm::network {
namespace {

using domain::FirewallRule;
using domain::NetworkKind;

constexpr std::uint64_t bytes_per_mbit = 125'000;

// Elements of a set of interface names; nftables refuses an empty list.
std::string name_set(std::string_view name, const std::vector<std::string>& names) {
    std::string out = "\tset " + std::string{name} + " {\n\t\ttype ifname\n";
    if (!names.empty()) {
        out += "\t\telements = { ";
        for (std::size_t i = 0; i < names.size(); ++i) {
            out.append(i == 0 ? "\"" : ", \"").append(names[i]).append("\"");
        }
        out += " }\n";
    }
    return out + "\t}\n";
}

std::string bridge_table(const RuleSettings& settings) {
    std::string out = "table bridge " + settings.table + " {\n";
    out +=
        "\tcounter spoofed {\n\t}\n"
        "\tmap guests {\n\t\ttype ifname : verdict\n\t}\n"
        "\tset lan_taps {\n\t\ttype ifname\n\t}\n"
        "\tmap lan_owner {\n\t\ttype ifname : mark\n\t}\n"
        "\tset lan_member {\n\t\ttype ifname . mark\n\t}\n"
        // What no guest may send, and what each may before it has an address.
        "\tchain common {\n"
        "\t\ticmpv6 type nd-router-advert counter name spoofed drop\n"
        "\t\tip daddr 127.0.0.0/8 counter name spoofed drop\n"
        "\t\tarp saddr ip 0.0.0.0 accept\n"
        "\t\tip saddr 0.0.0.0 udp sport 68 udp dport 67 accept\n"
        "\t\tip6 saddr :: icmpv6 type { nd-neighbor-solicit, nd-router-solicit, mld2-listener-report } "
        "accept\n"
        "\t}\n"
        "\tchain prerouting {\n"
        "\t\ttype filter hook prerouting priority -300; policy accept;\n"
        "\t\tiifname vmap @guests\n\t}\n"
        "\tchain forward {\n"
        "\t\ttype filter hook forward priority 0; policy accept;\n"
        "\t\tiifname @lan_taps oifname @lan_taps jump between\n\t}\n"
        "\tchain between {\n";
    if (!settings.traffic.vm_to_vm) {
        out += "\t\tdrop\n";
    } else if (settings.traffic.isolate_owners) {
        out +=
            "\t\tmeta mark set 0\n"
            "\t\tmeta mark set iifname map @lan_owner\n"
            "\t\toifname . meta mark != @lan_member drop\n"
            "\t\tmeta mark set 0\n";
    }
    return out + "\t}\n}\n";
}

std::string maps_of_machines() {
    std::string out;
    for (const auto* family : {"4", "6"}) {
        const std::string type = family[0] == '4' ? "ipv4_addr" : "ipv6_addr";
        const std::string n{family};
        out += "\tmap owner" + n + " {\n\t\ttype " + type + " : mark\n\t}\n";
        out += "\tset member" + n + " {\n\t\ttype " + type + " . mark\n\t}\n";
        out += "\tmap in" + n + " {\n\t\ttype " + type + " : verdict\n\t}\n";
        out += "\tmap out" + n + " {\n\t\ttype " + type + " : verdict\n\t}\n";
    }
    for (const auto* protocol : {"tcp", "udp"}) {
        const std::string p{protocol};
        out += "\tmap " + p + "_any {\n\t\ttype inet_service : ipv4_addr . inet_service\n\t}\n";
        out += "\tmap " + p + "_at {\n\t\ttype ipv4_addr . inet_service : ipv4_addr . inet_service\n\t}\n";
    }
    return out;
}

std::string nat_chains(const RuleSettings& settings, const std::vector<domain::Network>& networks) {
    std::string out =
        "\tchain published {\n"
        "\t\tip daddr 169.254.0.0/16 return\n"
        "\t\tdnat ip to ip daddr . tcp dport map @tcp_at\n"
        "\t\tdnat ip to tcp dport map @tcp_any\n"
        "\t\tdnat ip to ip daddr . udp dport map @udp_at\n"
        "\t\tdnat ip to udp dport map @udp_any\n\t}\n"
        "\tchain nat_prerouting {\n"
        "\t\ttype nat hook prerouting priority -100; policy accept;\n"
        "\t\tiifname @routed ip daddr 169.254.169.254 tcp dport 80 dnat ip to 127.0.0.1:" +
        std::to_string(settings.metadata_port) +
        "\n"
        "\t\tfib daddr type local jump published\n\t}\n"
        "\tchain nat_output {\n"
        "\t\ttype nat hook output priority -100; policy accept;\n"
        "\t\tfib daddr type local jump published\n\t}\n"
        "\tchain nat_postrouting {\n"
        "\t\ttype nat hook postrouting priority 100; policy accept;\n"
        "\t\tip saddr 127.0.0.0/8 oifname @routed masquerade\n";
    for (const auto& network : networks) {
        if (network.kind != NetworkKind::bridge) {
            continue;
        }
        out += "\t\tip saddr " + domain::text(network.range) + " oifname != @routed masquerade\n";
        if (network.prefix6) {
            out += "\t\tip6 saddr " + domain::text(*network.prefix6) + "/64 oifname != @routed masquerade\n";
        }
    }
    return out + "\t}\n";
}

std::string filter_chains(const RuleSettings& settings, const std::vector<domain::Network>& networks) {
    const auto& traffic = settings.traffic;
    const std::string known = "\t\tct state established,related accept\n\t\tct state invalid drop\n";
    std::string out = "\tchain deliver {\n\t\tip daddr vmap @in4\n\t\tip6 daddr vmap @in6\n\t\taccept\n\t}\n";
    out +=
        "\tchain between {\n"
        "\t\tiifname . oifname != @same iifname @closed drop\n"
        "\t\tiifname . oifname != @same oifname @closed drop\n"
        "\t\tct status dnat goto deliver\n";
    if (!traffic.vm_to_vm) {
        out += "\t\tdrop\n";
    } else if (traffic.isolate_owners) {
        out +=
            "\t\tmeta mark set 0\n"
            "\t\tmeta mark set ip saddr map @owner4\n"
            "\t\tmeta mark set ip6 saddr map @owner6\n"
            "\t\tip daddr . meta mark != @member4 drop\n"
            "\t\tip6 daddr . meta mark != @member6 drop\n"
            "\t\tmeta mark set 0\n";
    }
    out += "\t\tgoto deliver\n\t}\n";
    out += "\tchain from_machine {\n" + known +
           "\t\tip daddr 169.254.0.0/16 drop\n"
           "\t\tip saddr vmap @out4\n\t\tip6 saddr vmap @out6\n"
           "\t\toifname @routed goto between\n"
           "\t\tiifname @closed drop\n";
    if (!traffic.outbound) {
        out += "\t\tdrop\n";
    }
    for (const auto& network : networks) {
        if (network.kind == NetworkKind::bridge && !network.external_interface.empty()) {
            out += "\t\tiifname \"" + network.name + "\" oifname != \"" + network.external_interface +
                   "\" drop\n";
        }
    }
    out +=
        "\t}\n\tchain to_machine {\n" + known + "\t\toifname @closed drop\n\t\tct status dnat goto deliver\n";
    out += traffic.inbound ? "\t\tgoto deliver\n" : "\t\tdrop\n";
    out +=
        "\t}\n\tchain to_host {\n"
        "\t\tct state established,related accept\n"
        "\t\tmeta l4proto { icmp, ipv6-icmp } accept\n"
        "\t\tudp dport { 53, 67, 547 } accept\n"
        "\t\ttcp dport 53 accept\n"
        "\t\tct status dnat accept\n"
        "\t\tip daddr 169.254.0.0/16 drop\n"
        "\t\tiifname @closed drop\n";
    out += traffic.vm_to_host ? "" : "\t\tdrop\n";
    out +=
        "\t}\n"
        "\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n"
        "\t\tiifname @routed jump from_machine\n"
        "\t\toifname @routed jump to_machine\n\t}\n"
        // For IPv6 the kernel cannot be told not to send guests to each other.
        "\tchain output {\n\t\ttype filter hook output priority 0; policy accept;\n"
        "\t\toifname @routed icmpv6 type nd-redirect drop\n\t}\n"
        "\tchain input {\n\t\ttype filter hook input priority 0; policy accept;\n"
        "\t\tiifname @routed jump to_host\n\t}\n";
    return out;
}

std::string inet_table(const RuleSettings& settings, const std::vector<domain::Network>& networks) {
    std::vector<std::string> routed;
    std::vector<std::string> closed;
    std::string same;
    for (const auto& network : networks) {
        if (network.routed()) {
            routed.push_back(network.name);
            same.append(same.empty() ? "\"" : ", \"").append(network.name);
            same.append("\" . \"").append(network.name).append("\"");
        }
        if (network.kind == NetworkKind::isolated) {
            closed.push_back(network.name);
        }
    }
    return "table inet " + settings.table + " {\n" + name_set("routed", routed) + name_set("closed", closed) +
           "\tset same {\n\t\ttype ifname . ifname\n" +
           (same.empty() ? "" : "\t\telements = { " + same + " }\n") + "\t}\n" + maps_of_machines() +
           nat_chains(settings, networks) + filter_chains(settings, networks) + "}\n";
}

std::string mac_number(const domain::Mac& mac) {
    std::string out = "0x";
    for (const char c : mac) {
        out.append(c == ':' ? 0 : 1, c);
    }
    return out;
}

std::string ip6_number(const domain::Ip6& address) {
    return "0x" + to_hex(address);
}

// What may come out of a tap; in the order in which packets are common.
std::string guard_of(const ports::Plugged& plugged, const domain::Network& network) {
    const auto& interface = plugged.interface;
    const std::string wrong = " counter name spoofed drop\n";
    std::string out = "\t\tether saddr != " + interface.mac + wrong;
    if (interface.up_mbps > 0) {
        const auto rate = interface.up_mbps * bytes_per_mbit;
        out += "\t\tlimit rate over " + std::to_string(rate) + " bytes/second burst " +
               std::to_string(std::max<std::uint64_t>(rate / 20, 65536)) + " bytes drop\n";
    }
    out += "\t\tether type arp arp saddr ether != " + interface.mac + wrong;
    if (!network.routed()) {
        return out + "\t\ticmpv6 type nd-router-advert" + wrong + "\t\tudp sport 67" + wrong;
    }
    out += "\t\tudp dport 67 @th,288,48 != " + mac_number(interface.mac) + wrong;
    const domain::Ip6 link_local{0xfe, 0x80};
    const auto local = domain::address6(link_local, interface.mac);
    if (interface.ip6) {
        out += "\t\ticmpv6 type nd-neighbor-advert @th,64,128 != " + ip6_number(local) +
               " @th,64,128 != " + ip6_number(*interface.ip6) + wrong;
    }
    // An anonymous set would be one more object of the kernel's for each machine.
    const auto address = domain::text(*interface.ip4);
    out += "\t\tjump common\n\t\tip saddr " + address + " accept\n\t\tarp saddr ip " + address + " accept\n";
    if (interface.ip6) {
        out += "\t\tip6 saddr " + domain::text(local) + " accept\n\t\tip6 saddr " +
               domain::text(*interface.ip6) + " accept\n";
    }
    return out + "\t\tcounter name spoofed drop\n";
}

std::string rules_text(
    const std::vector<FirewallRule>& rules,
    FirewallRule::Action otherwise,
    std::string_view peer,
    bool published_first
) {
    std::string out;
    for (const auto& rule : rules) {
        std::string match;
        if (rule.peer) {
            match += "ip " + std::string{peer} + " " + domain::text(*rule.peer) + " ";
        }
        const auto ports = rule.first_port == rule.last_port
                               ? std::to_string(rule.first_port)
                               : std::to_string(rule.first_port) + "-" + std::to_string(rule.last_port);
        switch (rule.protocol) {
            case FirewallRule::Protocol::any: break;
            case FirewallRule::Protocol::icmp: match += "meta l4proto { icmp, ipv6-icmp } "; break;
            case FirewallRule::Protocol::tcp:
            case FirewallRule::Protocol::udp: {
                const std::string protocol = rule.protocol == FirewallRule::Protocol::tcp ? "tcp" : "udp";
                match += rule.first_port == 0 ? "meta l4proto " + protocol + " "
                                              : protocol + " dport " + ports + " ";
                break;
            }
        }
        out += "\t\t" + match + (rule.action == FirewallRule::Action::allow ? "return" : "drop") + "\n";
    }
    if (otherwise == FirewallRule::Action::deny) {
        // What the owner has published is meant to be reached.
        out += published_first ? "\t\tct status dnat return\n\t\tdrop\n" : "\t\tdrop\n";
    }
    return out;
}

}  // namespace

std::uint32_t Owners::number(const std::string& owner) {
    const auto next = static_cast<std::uint32_t>(numbers_.size() + 1);
    return numbers_.try_emplace(owner, next).first->second;
}

std::string empty_tables(const RuleSettings& settings, const std::vector<domain::Network>& networks) {
    std::string out;
    for (const auto* family : {"bridge", "inet"}) {
        const auto table = std::string{family} + " " + settings.table;
        // Added before it is deleted, so that deleting never fails.
        out.append("add table ").append(table).append("\ndelete table ").append(table).append("\n");
    }
    return networks.empty() ? out : out + bridge_table(settings) + inet_table(settings, networks);
}

std::string added(const std::vector<const MemberRules*>& machines) {
    std::map<std::string, std::string> chains;
    std::map<std::string, std::string> elements;
    for (const auto* machine : machines) {
        for (const auto& [table, text] : machine->chains) {
            chains[table] += text;
        }
        for (const auto& [where, element] : machine->elements) {
            auto& all = elements[where];
            all.append(all.empty() ? "" : ", ").append(element);
        }
    }
    std::string out;
    for (const auto& [table, text] : chains) {
        out.append("table ").append(table).append(" {\n").append(text).append("}\n");
    }
    for (const auto& [where, all] : elements) {
        out.append("add element ").append(where).append(" { ").append(all).append(" }\n");
    }
    return out;
}

MemberRules member_rules(
    const RuleSettings& settings,
    const ports::Member& member,
    const std::map<std::string, domain::Network>& networks,
    std::uint32_t owner
) {
    const auto bridge = "bridge " + settings.table;
    const auto inet = "inet " + settings.table;
    const auto stem = domain::tap_stem(member.vm);
    MemberRules out;
    std::string cleared;
    const auto element = [&](const std::string& where, const std::string& key, const std::string& value) {
        out.elements.emplace_back(where, key + (value.empty() ? "" : " : " + value));
        cleared += "delete element " + where + " { " + key + " }\n";
    };
    const auto chain = [&](const std::string& table, const std::string& name, const std::string& rules) {
        out.chains.emplace_back(table, "\tchain " + name + " {\n" + rules + "\t}\n");
        out.remove += "delete chain " + table + " " + name + "\n";
    };
    const auto& firewall = member.firewall;
    const bool has_rules = firewall != domain::Firewall{};
    if (has_rules) {
        chain(inet, "in_" + stem, rules_text(firewall.inbound, firewall.inbound_default, "saddr", true));
        chain(inet, "out_" + stem, rules_text(firewall.outbound, firewall.outbound_default, "daddr", false));
    }
    const auto mark = std::to_string(owner);
    std::string first_address;
    for (const auto& plugged : member.interfaces) {
        const auto found = networks.find(plugged.interface.network);
        if (found == networks.end()) {
            continue;
        }
        const auto tap = "\"" + plugged.tap + "\"";
        chain(bridge, plugged.tap, guard_of(plugged, found->second));
        element(bridge + " guests", tap, "goto " + plugged.tap);
        if (!found->second.routed()) {
            element(bridge + " lan_taps", tap, "");
            element(bridge + " lan_owner", tap, mark);
            element(bridge + " lan_member", tap + " . " + mark, "");
            continue;
        }
        const auto address = [&](const std::string& family, const std::string& text) {
            element(inet + " owner" + family, text, mark);
            element(inet + " member" + family, text + " . " + mark, "");
            if (has_rules) {
                element(inet + " in" + family, text, "jump in_" + stem);
                element(inet + " out" + family, text, "jump out_" + stem);
            }
        };
        address("4", domain::text(*plugged.interface.ip4));
        first_address = first_address.empty() ? domain::text(*plugged.interface.ip4) : first_address;
        if (plugged.interface.ip6) {
            address("6", domain::text(*plugged.interface.ip6));
        }
    }
    for (const auto& port : member.ports) {
        if (first_address.empty()) {
            break;
        }
        const auto to = first_address + " . " + std::to_string(port.guest_port);
        const auto number = std::to_string(port.host_port);
        if (port.host_address == "0.0.0.0") {
            element(inet + " " + port.protocol + "_any", number, to);
        } else {
            element(inet + " " + port.protocol + "_at", port.host_address + " . " + number, to);
        }
    }
    out.add = added({&out});
    // What refers to a chain goes before it.
    out.remove.insert(0, cleared);
    return out;
}

}  // namespace vmm::network
