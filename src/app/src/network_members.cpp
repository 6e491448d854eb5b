#include "vmm/app/networks.h"
#include "vmm/base/text.h"

#include <spdlog/spdlog.h>

#include <algorithm>

// Machines' places in networks.
namespace vmm::app {
namespace {

using domain::Interface;

std::unexpected<Error> address_taken(const std::string& field, const InterfaceWish& wish) {
    return fail(Error{Code::conflict, "another machine has the address " + wish.address}
                    .with_slug("address-taken")
                    .with_field(field + ".address"));
}

}  // namespace

// Addresses of machines that are about to be made count too.
std::set<domain::Ip4> Networks::taken(const std::string& network, const std::string& but) const {
    std::set<domain::Ip4> out;
    world_.each_machine([&](const domain::Vm& vm) {
        for (const auto& interface : vm.interfaces) {
            if (interface.network == network && interface.ip4 && vm.id != but) {
                out.insert(*interface.ip4);
            }
        }
    });
    return out;
}

Result<Interface> Networks::placed(
    const std::string& vm,
    const std::string& id,
    const InterfaceWish& wish,
    const std::string& field
) const {
    Interface out;
    out.id = id;
    out.network = wish.network;
    out.up_mbps = wish.up_mbps;
    out.down_mbps = wish.down_mbps;
    out.mac = domain::derive_mac(vm, id + wish.network);
    if (wish.network == domain::user_network) {
        if (!wish.address.empty() || wish.up_mbps != 0 || wish.down_mbps != 0) {
            return invalid(field, "the user network has no addresses to choose and no bandwidth limits");
        }
        return out;
    }
    const auto found = networks_.find(wish.network);
    if (found == networks_.end()) {
        return fail(Error{Code::invalid, "there is no network " + quote(wish.network)}
                        .with_slug("unknown-network")
                        .with_field(field + ".network")
                        .with_hint("GET /networks lists them"));
    }
    const auto& network = found->second;
    if (!network.routed()) {
        return wish.address.empty()
                   ? Result<Interface>{out}
                   : invalid(field + ".address", "the addresses of a lan are given by whoever keeps it");
    }
    const auto used = taken(network.name, vm);
    if (wish.address.empty()) {
        TRY(out.ip4, domain::pick_address(network, vm, used));
    } else {
        out.ip4 = domain::parse_ip4(wish.address);
        const domain::Ip4 last{network.range.first.value + network.range.size() - 2};
        if (!out.ip4 || *out.ip4 <= network.range.gateway() || *out.ip4 > last) {
            return invalid(
                field + ".address",
                "expected an address from " + domain::text(domain::Ip4{network.range.gateway().value + 1}) +
                    " to " + domain::text(last) + ", found " + quote(wish.address)
            );
        }
        if (used.contains(*out.ip4)) {
            return address_taken(field, wish);
        }
    }
    if (network.prefix6) {
        out.ip6 = domain::address6(*network.prefix6, out.mac);
    }
    return out;
}

Result<std::vector<Interface>>
Networks::places(const std::string& vm, const std::optional<std::vector<InterfaceWish>>& wishes) const {
    std::vector<InterfaceWish> all;
    if (wishes) {
        all = *wishes;
    } else {
        all.push_back({world_.settings.default_network, "", 0, 0});
    }
    if (all.size() > domain::most_interfaces) {
        return invalid(
            "networks", "a machine has at most " + std::to_string(domain::most_interfaces) + " interfaces"
        );
    }
    std::vector<Interface> out;
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto field = "networks[" + std::to_string(i) + "]";
        TRY(auto one, placed(vm, "nic" + std::to_string(i), all[i], field));
        const bool twice =
            std::ranges::any_of(out, [&one](const Interface& other) { return other.network == one.network; });
        if (twice) {
            return invalid(
                field + ".network", "the machine is in the network " + quote(one.network) + " already"
            );
        }
        out.push_back(std::move(one));
    }
    return out;
}

Result<Interface> Networks::place(const domain::Vm& vm, const InterfaceWish& wish) const {
    for (const auto& interface : vm.interfaces) {
        if (interface.network == wish.network) {
            return fail(
                Error{Code::conflict, "the machine is in the network " + quote(wish.network) + " already"}
                    .with_slug("already-attached")
                    .with_field("network")
            );
        }
    }
    for (std::size_t i = 0; i < domain::most_interfaces; ++i) {
        const auto id = "nic" + std::to_string(i);
        if (std::ranges::find(vm.interfaces, id, &Interface::id) == vm.interfaces.end()) {
            auto out = placed(vm.id, id, wish, "");
            if (!out && out.error().field().starts_with(".")) {
                auto error = out.error();
                const auto field = error.field().substr(1);
                return fail(std::move(error).with_field(field));
            }
            return out;
        }
    }
    return fail(
        Code::conflict, "the machine has " + std::to_string(domain::most_interfaces) + " interfaces, the most"
    );
}

std::shared_ptr<const ports::Layout> Networks::layout() const {
    auto out = std::make_shared<ports::Layout>();
    for (const auto& [name, network] : networks_) {
        out->networks.push_back(network);
    }
    world_.each_machine([&](const domain::Vm& vm) {
        if (!live_.contains(vm.id)) {
            return;
        }
        ports::Member member;
        member.vm = vm.id;
        member.name = vm.name;
        member.owner = vm.owner.text();
        member.firewall = vm.firewall;
        member.ports = vm.ports;
        for (const auto& interface : vm.interfaces) {
            if (networks_.contains(interface.network)) {
                ports::Plugged plugged;
                plugged.tap = domain::tap_name(vm.id, interface.id);
                plugged.interface = interface;
                member.interfaces.push_back(std::move(plugged));
            }
        }
        if (!member.interfaces.empty()) {
            out->members.push_back(std::move(member));
        }
    });
    return out;
}

ports::NicPlan Networks::user_nic(const domain::Vm& vm, const Interface& interface) const {
    ports::NicPlan out;
    out.id = interface.id;
    out.mac = interface.mac;
    out.closed = world_.settings.close_user_networks;
    // Published where the first interface is.
    if (!vm.interfaces.empty() && vm.interfaces.front().id == interface.id) {
        out.ports = vm.ports;
    }
    return out;
}

Task<ports::NicPlan> Networks::connect(domain::Vm vm, Interface interface) {
    if (interface.network == domain::user_network) {
        co_return user_nic(vm, interface);
    }
    const auto network = networks_.find(interface.network);
    if (network == networks_.end()) {
        co_return fail(Error{Code::unavailable, "the network " + quote(interface.network) + " is gone"}
                           .with_slug("network-failed"));
    }
    ports::NicPlan out;
    out.id = interface.id;
    out.mac = interface.mac;
    out.mtu = network->second.mtu;
    CO_TRY(out.tap, co_await host_.plug(vm.id, interface.id));
    co_return out;
}

Task<std::vector<ports::NicPlan>> Networks::connect(domain::Vm vm) {
    const bool hosts = std::ranges::any_of(vm.interfaces, [](const Interface& interface) {
        return interface.network != domain::user_network;
    });
    if (hosts) {
        join(vm.id);
        CO_CHECK(co_await refresh());
    }
    std::vector<ports::NicPlan> out;
    for (const auto& interface : vm.interfaces) {
        auto connected = co_await connect(vm, interface);
        if (!connected) {
            leave(vm.id);
            co_return std::unexpected{std::move(connected).error()};
        }
        out.push_back(*std::move(connected));
    }
    co_return out;
}

void Networks::join(const std::string& vm) {
    live_.insert(vm);
}

void Networks::leave(const std::string& vm) {
    if (live_.erase(vm) > 0) {
        refresh_later(vm);
    }
}

void Networks::changed(const std::string& vm) {
    if (live_.contains(vm)) {
        refresh_later(vm);
    }
}

void Networks::refresh_later(const std::string& vm) {
    if (networks_.empty()) {
        return;
    }
    world_.jobs.spawn(vm + " networks", [](Networks* self) -> asio::awaitable<void> {
        const auto left = co_await self->refresh();
        if (!left) {
            spdlog::warn("the networks cannot be updated error=\"{}\"", left.error().message());
        }
    }(this));
}

Task<void> Networks::refresh() {
    const bool any = std::ranges::any_of(networks_, [](const auto& each) { return each.second.routed(); });
    if (any && serve_metadata) {
        const auto served = serve_metadata();
        metadata_problem_ = served ? "" : served.error().message();
        host_.lead_metadata_to(served.value_or(0));
    }
    co_return co_await host_.apply(layout());
}

bool Networks::routed(const Interface& interface) const {
    const auto found = networks_.find(interface.network);
    return found != networks_.end() && found->second.routed();
}

bool Networks::routed(const domain::Vm& vm) const {
    return !vm.interfaces.empty() && routed(vm.interfaces.front());
}

Result<void> Networks::reserve(const domain::Vm& vm, const domain::PublishedPort& port) {
    return routed(vm) ? host_.reserve(port) : Result<void>{};
}

Result<void> Networks::claim(const domain::Vm& vm, const domain::PublishedPort& port) {
    CHECK(host_.reserve(port));
    if (!routed(vm)) {
        host_.release(port);
    }
    return {};
}

void Networks::release(const domain::PublishedPort& port) {
    host_.release(port);
}

std::optional<Timestamp> Networks::leased_at(const Interface& interface) const {
    for (const auto& lease : host_.leases(interface.network)) {
        if (lease.mac == interface.mac && lease.expires_at > 0) {
            return Timestamp{(lease.expires_at - lease_time_s) * 1000};
        }
    }
    return std::nullopt;
}

std::string Networks::machine_at(std::string_view address) const {
    const auto wanted4 = domain::parse_ip4(address);
    const auto wanted6 = wanted4 ? std::nullopt : domain::parse_ip6(address);
    std::string out;
    world_.each_machine([&](const domain::Vm& vm) {
        for (const auto& interface : vm.interfaces) {
            const bool same = wanted4 ? interface.ip4 == wanted4 : wanted6 && interface.ip6 == wanted6;
            if (same && live_.contains(vm.id)) {
                out = vm.id;
            }
        }
    });
    return out;
}

}  // namespace vmm::app
