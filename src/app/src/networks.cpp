#include "vmm/app/networks.h"

#include "vmm/base/fault.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/records/records.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "keys.h"
#include "recall.h"

namespace vmm::app {
namespace {

using domain::NetworkKind;

constexpr std::size_t page = 500;
constexpr std::size_t most_networks = 64;
// Ranges that are chosen by themselves: 10.201.0.0/24 to 10.201.255.0/24.
constexpr domain::Ip4 first_choice{10U << 24 | 201U << 16};
constexpr unsigned choices = 256;

// The smallest range that holds the pool, with room for the host's own address.
std::optional<domain::Range4> range_of(domain::Ip4 first, domain::Ip4 last) {
    for (unsigned prefix = 29; prefix >= 8; --prefix) {
        const domain::Range4 range{{first.value & ~0U << (32 - prefix)}, prefix};
        const domain::Ip4 broadcast{range.first.value + range.size() - 1};
        if (range.contains(last) && first > range.gateway() && last < broadcast && prefix <= 24) {
            return range;
        }
    }
    return std::nullopt;
}

std::unexpected<Error> name_taken(const std::string& name) {
    return fail(Error{Code::conflict, "there is a network named " + quote(name) + " already"}
                    .with_slug("name-taken")
                    .with_field("name"));
}

}  // namespace

Networks::Networks(World& world, ports::HostNetwork& host) : world_{world}, host_{host} {
    world.networks = this;
}

Task<void> Networks::load() {
    CO_TRY(const auto records, co_await world_.store.list(std::string{keys::networks}, "", page));
    for (const auto& record : records) {
        CO_TRY(auto network, records::read_network(record.value));
        networks_.insert_or_assign(network.name, std::move(network));
    }
    const auto& settings = world_.settings;
    if (settings.default_network == domain::user_network || networks_.contains(settings.default_network)) {
        co_return Result<void>{};
    }
    NetworkOrder order;
    order.name = settings.default_network;
    order.pool = settings.dhcp_range;
    order.external_interface = settings.external_interface;
    order.dhcp = settings.dhcp_enabled;
    auto network = co_await fitting(std::move(order));
    if (!network) {
        // The service is of use without it; whoever wants a machine in it is told.
        spdlog::error(
            "the default network cannot be made name={} error=\"{}\"",
            settings.default_network,
            network.error().message()
        );
        co_return Result<void>{};
    }
    ports::Transaction transaction;
    transaction.puts.push_back({keys::network(network->name), records::write(*network), {}});
    CO_CHECK(co_await world_.store.commit(std::move(transaction)));
    networks_.emplace(network->name, *network);
    co_return Result<void>{};
}

Task<void> Networks::start() {
    world_.each_machine([this](const domain::Vm& vm) {
        for (const auto& port : vm.ports) {
            if (const auto reserved = reserve(vm, port); !reserved) {
                spdlog::warn(
                    "a published port is lost vm={} error=\"{}\"", vm.id, reserved.error().message()
                );
            }
        }
    });
    const auto done = co_await refresh();
    if (!done) {
        spdlog::error("the networks cannot be set up error=\"{}\"", done.error().message());
    }
    co_return Result<void>{};
}

Result<domain::Network> Networks::shaped(const NetworkOrder& order) const {
    CHECK(domain::check_network_name(order.name));
    domain::Network out;
    out.id = new_id("net");
    out.name = order.name;
    out.kind = order.kind;
    out.created_at = now();
    out.mtu = order.mtu.value_or(domain::default_mtu);
    out.dhcp = order.dhcp;
    if (out.mtu < 1280 || out.mtu > 9000) {
        return invalid("mtu", "expected 1280 to 9000, found " + std::to_string(out.mtu));
    }
    if (order.kind == NetworkKind::lan) {
        if (order.bridge.empty() || order.bridge.size() > 15) {
            return invalid("bridge", "a network of kind lan needs the name of the host's bridge");
        }
        if (!order.ipv4.empty() || !order.ipv6.empty() || !order.pool.empty()) {
            return invalid("ipv4", "the addresses of a lan are given by whoever keeps it");
        }
        out.bridge = order.bridge;
        return out;
    }
    if (!order.bridge.empty()) {
        return invalid("bridge", "only a network of kind lan uses a bridge of the host's");
    }
    if (!order.external_interface.empty() && order.kind != NetworkKind::bridge) {
        return invalid("external_interface", "an isolated network has no way out");
    }
    out.external_interface = order.external_interface;
    std::optional<std::pair<domain::Ip4, domain::Ip4>> pool;
    if (!order.pool.empty()) {
        TRY(pool, domain::parse_pool("pool", order.pool));
    }
    if (!order.ipv4.empty()) {
        TRY(out.range, domain::parse_range4("ipv4", order.ipv4));
        if (out.range.prefix < 8 || out.range.prefix > 29) {
            return invalid("ipv4", "expected a range from /8 to /29, found " + quote(order.ipv4));
        }
    } else if (pool) {
        const auto range = range_of(pool->first, pool->second);
        if (!range) {
            return invalid(
                "pool", "no range holds " + quote(order.pool) + " and an address for the host before it"
            );
        }
        out.range = *range;
    }
    const domain::Ip4 first{out.range.gateway().value + 1};
    const domain::Ip4 last{out.range.first.value + out.range.size() - 2};
    out.pool_first = pool ? pool->first : first;
    out.pool_last = pool ? pool->second : last;
    if (out.pool_first < first || out.pool_last > last) {
        return invalid(
            "pool",
            "expected addresses from " + domain::text(first) + " to " + domain::text(last) + ", found " +
                quote(order.pool)
        );
    }
    if (order.ipv6.empty()) {
        out.prefix6 = domain::unique_local_prefix(out.id);
    } else if (order.ipv6 != "none") {
        TRY(out.prefix6, domain::parse_prefix6("ipv6", order.ipv6));
    }
    return out;
}

Result<void> Networks::check_ranges(const domain::Network& network) const {
    for (const auto& [name, other] : networks_) {
        if (network.routed() && other.routed() && other.range.overlaps(network.range)) {
            return fail(Error{
                Code::conflict,
                domain::text(network.range) + " overlaps " + domain::text(other.range) + " of the network " +
                    quote(name)
            }
                            .with_slug("range-overlaps")
                            .with_field("ipv4"));
        }
        if (network.prefix6 && other.prefix6 == network.prefix6) {
            return fail(Error{Code::conflict, "the network " + quote(name) + " has this prefix already"}
                            .with_slug("range-overlaps")
                            .with_field("ipv6"));
        }
    }
    return {};
}

// The network as ordered, in the first range that is free unless one is wanted.
Task<domain::Network> Networks::fitting(NetworkOrder order) {
    const bool choose = order.kind != NetworkKind::lan && order.ipv4.empty() && order.pool.empty();
    Error last{Code::conflict, "no range is free"};
    for (unsigned i = 0; i < (choose ? choices : 1); ++i) {
        if (choose) {
            order.ipv4 = domain::text(domain::Range4{{first_choice.value + (i << 8)}, 24});
        }
        CO_TRY(auto network, shaped(order));
        auto fits = check_ranges(network);
        if (fits) {
            fits = co_await host_.check(network);
        }
        if (fits) {
            co_return network;
        }
        last = fits.error();
        if (last.slug() != "range-overlaps") {
            break;
        }
    }
    co_return fail(std::move(last));
}

Task<NetworkView> Networks::create(NetworkOrder order, Ticket ticket) {
    if (networks_.size() >= most_networks) {
        co_return fail(
            Code::conflict, "there are " + std::to_string(most_networks) + " networks, which is the most"
        );
    }
    if (networks_.contains(order.name)) {
        co_return name_taken(order.name);
    }
    CO_TRY(auto network, co_await fitting(std::move(order)));
    ports::Transaction transaction;
    const auto key = keys::network(network.name);
    transaction.expect.push_back({key, 0});
    transaction.puts.push_back({key, records::write(network), {}});
    ticket.add_to(transaction, "", network.id);
    fault_point("network.before-intent");
    auto stored = co_await world_.store.commit(std::move(transaction));
    if (!stored) {
        if (stored.error().field() == key) {
            co_return name_taken(network.name);
        }
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    fault_point("network.after-intent");
    networks_.emplace(network.name, network);
    auto made = co_await refresh();
    const auto problems = host_.problems();
    if (const auto found = problems.find(network.name); made && found != problems.end()) {
        made = fail(Error{Code::unavailable, found->second}.with_slug("network-failed"));
    }
    if (!made) {
        Ticket nothing;
        (void)co_await remove(network.name, std::move(nothing));
        co_return fail(std::move(made).error());
    }
    spdlog::info(
        "network made name={} kind={} range={}", network.name, name(network.kind), domain::text(network.range)
    );
    co_return *show(network.name);
}

Task<void> Networks::remove(std::string name, Ticket ticket) {
    CO_TRY(const auto view, show(name));
    if (name == domain::user_network || name == world_.settings.default_network) {
        co_return fail(Error{Code::conflict, "this network is always there"}.with_slug("network-in-use"));
    }
    if (view.machines > 0) {
        co_return fail(Error{
            Code::conflict, std::to_string(view.machines) + " machines are in the network " + quote(name)
        }
                           .with_slug("network-in-use"));
    }
    ports::Transaction transaction;
    transaction.removes.push_back(keys::network(name));
    ticket.add_to(transaction, "", view.network.id);
    // Taken away first, so that nobody joins it meanwhile.
    networks_.erase(name);
    auto stored = co_await world_.store.commit(std::move(transaction));
    if (!stored) {
        networks_.emplace(name, view.network);
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    fault_point("network.removed");
    co_return co_await refresh();
}

std::vector<NetworkView> Networks::list() const {
    std::map<std::string, std::size_t> used;
    world_.each_machine([&used](const domain::Vm& vm) {
        std::set<std::string> in;
        for (const auto& interface : vm.interfaces) {
            in.insert(interface.network);
        }
        for (const auto& network : in) {
            ++used[network];
        }
    });
    const auto wrong = host_.problems();
    std::vector<NetworkView> out;
    domain::Network user;
    user.name = domain::user_network;
    user.kind = NetworkKind::user;
    out.push_back({user, used[user.name], ""});
    for (const auto& [name, network] : networks_) {
        const auto problem = wrong.find(name);
        out.push_back({network, used[name], problem == wrong.end() ? "" : problem->second});
    }
    return out;
}

Result<NetworkView> Networks::show(const std::string& name) const {
    auto all = list();
    const auto found =
        std::ranges::find_if(all, [&name](const NetworkView& view) { return view.network.name == name; });
    if (found == all.end()) {
        return fail(Code::not_found, "there is no network " + quote(name));
    }
    return *found;
}

std::map<std::string, std::string> Networks::problems() const {
    auto out = host_.problems();
    if (!metadata_problem_.empty()) {
        out.emplace("metadata", metadata_problem_);
    }
    const auto& wanted = world_.settings.default_network;
    if (wanted != domain::user_network && !networks_.contains(wanted)) {
        out.emplace(wanted, "the default network could not be made; the log says why");
    }
    return out;
}

}  // namespace vmm::app
