#include "vmm/network/host_network.h"

#include "vmm/base/pool.h"
#include "vmm/base/process.h"
#include "vmm/base/slots.h"
#include "vmm/base/text.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <spdlog/spdlog.h>

#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "bridges.h"
#include "links.h"
#include "names.h"
#include "nft.h"
#include "rules.h"
#include "servers.h"
#include "watcher.h"

namespace vmm::network {
namespace {

namespace fs = std::filesystem;

sockaddr_in socket_address(std::string_view host, std::uint16_t port) {
    sockaddr_in out{};
    out.sin_family = AF_INET;
    out.sin_port = htons(port);
    out.sin_addr.s_addr = htonl(domain::parse_ip4(host).value_or(domain::Ip4{}).value);
    return out;
}

std::string port_key(const domain::PublishedPort& port) {
    return port.protocol + "/" + port.host_address + ":" + std::to_string(port.host_port);
}

// Bound to the loopback address, at this port or, with 0, at any.
Fd bound(int type, std::uint16_t port) {
    Fd socket{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
    const int on = 1;
    const auto address = socket_address("127.0.0.1", port);
    if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return {};
    }
    return socket;
}

// A port of the loopback address that is free for UDP and for TCP, for the resolver; 0 when none is found.
std::uint16_t free_port() {
    for (int tries = 0; tries < 100; ++tries) {
        const auto probe = bound(SOCK_STREAM, 0);
        sockaddr_in address{};
        socklen_t size = sizeof address;
        if (!probe || ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
            continue;
        }
        if (const auto port = ntohs(address.sin_port); bound(SOCK_DGRAM, port)) {
            return port;
        }
    }
    return 0;
}

class Host final : public ports::HostNetwork {
public:
    Host(asio::any_io_executor executor, Settings settings)
        : executor_{executor},
          settings_{std::move(settings)},
          rule_settings_{"vmm_" + settings_.mark, settings_.rules},
          names_{std::make_shared<Names>(executor)},
          servers_{executor, settings_} {}

    ~Host() override {
        names_->close();
        if (watcher_) {
            watcher_->close();
        }
    }

    Task<void> apply(std::shared_ptr<const ports::Layout> layout) override {
        wanted_ = std::move(layout);
        const auto turn = co_await turns_.take();
        // Only the newest wish counts, whoever's turn it is.
        const auto now = wanted_;
        if (now->networks.empty() && !applied_ && !left_behind()) {
            co_return Result<void>{};
        }
        co_return co_await make(now);
    }

    Task<void> check(domain::Network network) override {
        if (network.kind == domain::NetworkKind::lan) {
            const auto bridge = links_.find(network.bridge);
            if (!bridge || bridge->type != "bridge" || bridge->alias.starts_with("vmm-service ")) {
                co_return invalid(
                    "bridge",
                    "the host has no bridge named " + quote(network.bridge) + " that somebody else keeps"
                );
            }
            co_return Result<void>{};
        }
        if (!network.external_interface.empty() && !links_.find(network.external_interface)) {
            co_return invalid(
                "external_interface", "the host has no interface named " + quote(network.external_interface)
            );
        }
        for (const auto& [device, range] : links_.ranges()) {
            if (range.prefix < 32 && range.overlaps(network.range) && device != network.name) {
                co_return fail(Error{
                    Code::conflict,
                    domain::text(network.range) + " overlaps " + domain::text(range) +
                        ", which the host has on " + device
                }
                                   .with_slug("range-overlaps")
                                   .with_field("ipv4"));
            }
        }
        if (find_program(settings_.dnsmasq).empty()) {
            co_return fail(Error{
                Code::unavailable,
                "the program " + quote(settings_.dnsmasq) + " is missing or cannot be executed"
            }
                               .with_slug("dnsmasq-missing")
                               .with_hint("install dnsmasq-base"));
        }
        if (links_.find(network.name)) {
            CO_CHECK(keep_bridge(links_, settings_.mark, network));
        }
        co_return Result<void>{};
    }

    Task<std::shared_ptr<Fd>> plug(std::string vm, std::string interface) override {
        const auto name = domain::tap_name(vm, interface);
        const auto layout = wanted_;
        const ports::Plugged* found = nullptr;
        for (const auto& member : layout->members) {
            for (const auto& plugged : member.interfaces) {
                if (plugged.tap == name) {
                    found = &plugged;
                }
            }
        }
        const auto network = found == nullptr ? networks_.end() : networks_.find(found->interface.network);
        if (network == networks_.end()) {
            co_return fail(
                Error{Code::unavailable, "the machine's network is not set up"}.with_slug("network-failed")
            );
        }
        if (const auto problem = problems_.find(network->first); problem != problems_.end()) {
            co_return fail(Error{
                Code::unavailable,
                "the network " + quote(network->first) + " cannot be used: " + problem->second
            }
                               .with_slug("network-failed"));
        }
        CO_TRY(auto tap, open_tap(name));
        CO_CHECK(join(links_, *found, network->second));
        joined_.insert(name);
        co_return std::make_shared<Fd>(std::move(tap));
    }

    void lead_metadata_to(std::uint16_t port) override {
        disturbed_ |= port != rule_settings_.metadata_port;
        rule_settings_.metadata_port = port;
    }

    Result<void> reserve(const domain::PublishedPort& port) override {
        const auto key = port_key(port);
        if (reserved_.contains(key)) {
            return {};
        }
        const int type = port.protocol == "tcp" ? SOCK_STREAM : SOCK_DGRAM;
        Fd socket{::socket(AF_INET, type | SOCK_CLOEXEC, 0)};
        const auto address = socket_address(port.host_address, port.host_port);
        if (!socket ||
            ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            const bool taken = errno == EADDRINUSE;
            return fail(Error{
                taken ? Code::conflict : Code::invalid,
                taken
                    ? "the host's " + port.protocol + " port " + std::to_string(port.host_port) + " is in use"
                    : "the host has no address " + quote(port.host_address)
            }
                            .with_slug(taken ? "port-taken" : "invalid")
                            .with_field(taken ? "host_port" : "host_address"));
        }
        reserved_.emplace(key, std::move(socket));
        return {};
    }

    void release(const domain::PublishedPort& port) override { reserved_.erase(port_key(port)); }

    std::vector<ports::Lease> leases(const std::string& network) override { return servers_.leases(network); }

    std::map<std::string, std::string> problems() override {
        auto out = problems_;
        for (const auto& [name, problem] : servers_.problems()) {
            out.try_emplace(name, problem);
        }
        return out;
    }

    bool has_interface(const std::string& name) override { return links_.find(name).has_value(); }

private:
    // Of the thread that sets rules; at most 15 characters.
    [[nodiscard]] std::string thread_name() const { return "vmmnft-" + settings_.mark; }

    // An earlier run of the service had networks.
    bool left_behind() {
        std::error_code failed;
        return fs::exists(settings_.folder, failed) ||
               !links_.with_alias("vmm-service " + settings_.mark + " ").empty();
    }

    Task<void> make(std::shared_ptr<const ports::Layout> layout) {
        const bool anew = !applied_ || std::exchange(disturbed_, false) || changed(*layout);
        if (anew) {
            CO_CHECK(begin());
            keep_bridges(*layout);
            co_await servers_.keep(*layout, problems_, names_->port(), resolver_port_);
        }
        servers_.write_hosts(*layout);
        names_->set(layout);
        CO_CHECK(co_await set_rules(*layout, anew));
        leave_and_join(*layout, anew);
        applied_ = layout;
        co_return Result<void>{};
    }

    // Once, when the first network is there.
    Result<void> begin() {
        if (watcher_) {
            return {};
        }
        CHECK(names_->open());
        resolver_port_ = free_port();
        watcher_ =
            std::make_shared<Watcher>(executor_, rule_settings_.table, thread_name(), [this] { heal(); });
        watcher_->open();
        return {};
    }

    // Somebody has removed what is ours.
    void heal() {
        if (std::exchange(disturbed_, true)) {
            return;
        }
        spdlog::warn("rules or bridges of this service were removed by somebody else; they are made again");
        asio::co_spawn(
            executor_,
            [](Host* self) -> asio::awaitable<void> {
                const auto healed = co_await self->apply(self->wanted_);
                if (!healed) {
                    spdlog::error("the networks cannot be made again error=\"{}\"", healed.error().message());
                }
            }(this),
            asio::detached
        );
    }

    [[nodiscard]] bool changed(const ports::Layout& layout) const {
        return layout.networks.size() != networks_.size() ||
               std::ranges::any_of(layout.networks, [this](const domain::Network& network) {
                   const auto known = networks_.find(network.name);
                   return known == networks_.end() || known->second.id != network.id;
               });
    }

    void keep_bridges(const ports::Layout& layout) {
        networks_.clear();
        problems_.clear();
        std::set<std::string> bridges;
        for (const auto& network : layout.networks) {
            networks_.emplace(network.name, network);
            if (!network.routed()) {
                if (!links_.find(network.bridge)) {
                    problems_[network.name] = "the host has no bridge named " + quote(network.bridge);
                }
                continue;
            }
            bridges.insert(network.name);
            if (!network.external_interface.empty() && !links_.find(network.external_interface)) {
                problems_[network.name] =
                    "the host has no interface named " + quote(network.external_interface);
            }
            if (auto kept = keep_bridge(links_, settings_.mark, network); !kept) {
                problems_[network.name] = kept.error().message();
            }
        }
        if (const auto dropped = drop_bridges(links_, settings_.mark, layout.networks); !dropped) {
            spdlog::warn("a bridge cannot be removed error=\"{}\"", dropped.error().message());
        }
        watcher_->set_bridges(std::move(bridges));
    }

    // In one transaction: either all tables anew, or what has changed of machines.
    Task<void> set_rules(const ports::Layout& layout, bool anew) {
        std::map<std::string, MemberRules> rules;
        for (const auto& member : layout.members) {
            rules.emplace(
                member.vm, member_rules(rule_settings_, member, networks_, owners_.number(member.owner))
            );
        }
        std::string commands = anew ? empty_tables(rule_settings_, layout.networks) : "";
        if (!anew) {
            for (const auto& [vm, known] : rules_) {
                const auto next = rules.find(vm);
                if (next == rules.end() || next->second.add != known.add) {
                    commands += known.remove;
                }
            }
        }
        std::vector<const MemberRules*> fresh;
        for (const auto& [vm, next] : rules) {
            const auto known = rules_.find(vm);
            if (anew || known == rules_.end() || known->second.add != next.add) {
                fresh.push_back(&next);
            }
        }
        commands += added(fresh);
        if (!commands.empty()) {
            auto set = co_await run(std::move(commands));
            if (!set) {
                if (anew) {
                    co_return set;
                }
                // What is there is not what was thought to be there.
                disturbed_ = false;
                CO_CHECK(co_await set_rules(layout, true));
                co_return Result<void>{};
            }
        }
        rules_ = std::move(rules);
        co_return Result<void>{};
    }

    Task<void> run(std::string commands) {
        auto work = [this, commands = std::move(commands)] {
            (void)::pthread_setname_np(::pthread_self(), thread_name().c_str());
            return nft_.run(commands);
        };
        co_return co_await blocking(pool_, std::move(work));
    }

    void leave_and_join(const ports::Layout& layout, bool anew) {
        std::map<std::string, const ports::Plugged*> now;
        for (const auto& member : layout.members) {
            for (const auto& plugged : member.interfaces) {
                now.emplace(plugged.tap, &plugged);
            }
        }
        if (applied_) {
            for (const auto& member : applied_->members) {
                for (const auto& plugged : member.interfaces) {
                    leave(plugged, now.contains(plugged.tap) ? now.at(plugged.tap) : nullptr);
                }
            }
        }
        for (const auto& [tap, plugged] : now) {
            if ((anew || !joined_.contains(tap)) && links_.find(tap)) {
                const auto network = networks_.find(plugged->interface.network);
                if (network == networks_.end()) {
                    continue;
                }
                if (const auto joined = join(links_, *plugged, network->second); !joined) {
                    spdlog::warn("a tap cannot join tap={} error=\"{}\"", tap, joined.error().message());
                }
                joined_.insert(tap);
            }
        }
    }

    void leave(const ports::Plugged& was, const ports::Plugged* now) {
        const bool limit = now != nullptr && now->interface.down_mbps != was.interface.down_mbps;
        if (limit) {
            joined_.erase(was.tap);  // joins again, under the new limit
        }
        if (now != nullptr && now->interface.ip4 == was.interface.ip4) {
            return;
        }
        joined_.erase(was.tap);
        const auto network = networks_.find(was.interface.network);
        const auto bridge =
            network == networks_.end() ? std::nullopt : links_.find(bridge_of(network->second));
        if (!bridge) {
            return;
        }
        if (was.interface.ip4) {
            (void)links_.remove_neighbour(bridge->index, *was.interface.ip4);
        }
        if (was.interface.ip6) {
            (void)links_.remove_neighbour(bridge->index, *was.interface.ip6);
        }
    }

    asio::any_io_executor executor_;
    Settings settings_;
    RuleSettings rule_settings_;
    Links links_;
    Nft nft_;
    Owners owners_;
    std::shared_ptr<Names> names_;
    std::shared_ptr<Watcher> watcher_;
    std::uint16_t resolver_port_ = 0;
    Slots turns_{1};
    std::shared_ptr<const ports::Layout> wanted_ = std::make_shared<ports::Layout>();
    std::shared_ptr<const ports::Layout> applied_;
    std::map<std::string, domain::Network> networks_;
    std::map<std::string, std::string> problems_;
    Servers servers_;
    std::map<std::string, MemberRules> rules_;
    std::map<std::string, Fd> reserved_;
    std::set<std::string> joined_;
    bool disturbed_ = false;
    Pool pool_{1};
};

}  // namespace

std::unique_ptr<ports::HostNetwork> create_host_network(asio::any_io_executor executor, Settings settings) {
    return std::make_unique<Host>(std::move(executor), std::move(settings));
}

}  // namespace vmm::network
