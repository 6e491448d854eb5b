#include "bridges.h"

#include "vmm/base/text.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

namespace vmm::network {
namespace {

Result<void> set(const std::string& key, std::string_view value) {
    const auto path = "/proc/sys/net/" + key;
    const auto is = read_file(path, 64);
    if (is && trim(*is) == value) {
        return {};
    }
    const Fd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
    if (!file || ::write(file.get(), value.data(), value.size()) < 0) {
        return fail(os_error("setting net." + key + " to " + std::string{value}));
    }
    return {};
}

// Forwarding makes the kernel stop listening to IPv6 routers; where the host lives by them, it goes on.
Result<void> forward() {
    CHECK(set("ipv4/ip_forward", "1"));
    std::error_code failed;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/sys/net/ipv6/conf", failed}) {
        const auto name = entry.path().filename().string();
        const auto accepts = read_file(entry.path() / "accept_ra", 16);
        if (name != "all" && name != "default" && name != "lo" && accepts && trim(*accepts) == "1") {
            (void)set("ipv6/conf/" + name + "/accept_ra", "2");
        }
    }
    return failed ? Result<void>{} : set("ipv6/conf/all/forwarding", "1");
}

}  // namespace

std::string alias_of(const std::string& mark, const domain::Network& network) {
    return "vmm-service " + mark + " " + network.id;
}

const std::string& bridge_of(const domain::Network& network) {
    return network.kind == domain::NetworkKind::lan ? network.bridge : network.name;
}

Result<void> keep_bridge(Links& links, const std::string& mark, const domain::Network& network) {
    const auto& name = network.name;
    auto link = links.find(name);
    if (!link) {
        CHECK(links.add_bridge(name, domain::derive_mac(network.id, "bridge"), network.mtu));
        link = links.find(name);
        if (!link) {
            return fail(Error{Code::unavailable, "the bridge " + name + " went away while it was made"}
                            .with_slug("network-failed"));
        }
        CHECK(links.set_alias(link->index, alias_of(mark, network)));
    } else if (link->alias != alias_of(mark, network)) {
        return fail(Error{
            Code::conflict,
            "the host has a device named " + quote(name) + " already, and it is not this service's" +
                (link->alias.empty() ? std::string{} : " (alias " + quote(link->alias) + ")")
        }
                        .with_slug("bridge-taken")
                        .with_field("name")
                        .with_hint("choose another name, or use that bridge with kind \"lan\""));
    }
    CHECK(links.add_address(link->index, network.range.gateway(), network.range.prefix));
    if (network.prefix6) {
        auto router = *network.prefix6;
        router.back() = 1;
        CHECK(links.add_address(link->index, router, 64));
        // Where guests look for their router first.
        const domain::Ip6 local{0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
        CHECK(links.add_address(link->index, local, 64));
    }
    CHECK(links.set_up(link->index, network.mtu));
    CHECK(links.add_proxy(link->index, metadata_address));
    // Ports are isolated, so the host answers for their neighbours and carries what they say to each other,
    // where the rules see it.
    const auto conf = "ipv4/conf/" + name + "/";
    CHECK(set(conf + "proxy_arp_pvlan", "1"));
    CHECK(set(conf + "send_redirects", "0"));
    // Answered at once, as nobody else could.
    CHECK(set("ipv4/neigh/" + name + "/proxy_delay", "0"));
    // Published ports answer on the host's loopback address too.
    CHECK(set(conf + "route_localnet", "1"));
    return forward();
}

Result<void>
drop_bridges(Links& links, const std::string& mark, const std::vector<domain::Network>& networks) {
    for (const auto& link : links.with_alias("vmm-service " + mark + " ")) {
        const bool wanted = std::ranges::any_of(networks, [&](const domain::Network& network) {
            return network.routed() && network.name == link.name && link.alias == alias_of(mark, network);
        });
        if (!wanted) {
            CHECK(links.remove(link.name));
        }
    }
    return {};
}

Result<void> join(Links& links, const ports::Plugged& plugged, const domain::Network& network) {
    const auto tap = links.find(plugged.tap);
    const auto bridge = links.find(bridge_of(network));
    if (!tap || !bridge) {
        return fail(Error{
            Code::unavailable,
            tap ? "the bridge " + bridge_of(network) + " is not there"
                : "the tap " + plugged.tap + " is not there"
        }
                        .with_slug("network-failed"));
    }
    const auto& interface = plugged.interface;
    const auto port = network.routed() ? Links::Port::isolated : Links::Port::shared;
    if (tap->mtu != network.mtu) {
        CHECK(links.set_up(tap->index, network.mtu));
    }
    // The host speaks on the bridge alone.
    CHECK(set("ipv6/conf/" + plugged.tap + "/disable_ipv6", "1"));
    CHECK(links.enslave(tap->index, bridge->index, port, interface.mac));
    if (interface.ip4) {
        CHECK(links.add_neighbour(bridge->index, *interface.ip4, interface.mac));
    }
    if (interface.ip6) {
        CHECK(links.add_neighbour(bridge->index, *interface.ip6, interface.mac));
    }
    return links.limit(tap->index, interface.down_mbps);
}

}  // namespace vmm::network
