#pragma once

#include "vmm/app/ticket.h"
#include "vmm/app/world.h"
#include "vmm/ports/network.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vmm::app {

// A network as an administrator orders it. What is not given is chosen.
struct NetworkOrder {
    std::string name;
    domain::NetworkKind kind = domain::NetworkKind::bridge;
    std::string ipv4;  // a range
    std::string ipv6;  // a /64, or "none"
    std::string pool;  // FIRST-LAST
    std::string bridge;
    std::string external_interface;
    std::optional<unsigned> mtu;
    bool dhcp = true;
};

struct NetworkView {
    domain::Network network;
    std::size_t machines = 0;
    std::string problem;  // empty: none
};

// Where a machine is to be attached.
struct InterfaceWish {
    std::string network;
    std::string address;  // IPv4; empty: one for life is derived
    std::uint32_t up_mbps = 0;
    std::uint32_t down_mbps = 0;
};

// The host's networks and who is in them. Used on the application's executor.
class Networks {
public:
    Networks(World& world, ports::HostNetwork& host);

    // Reads the networks; makes the record of the configured default one when it is missing.
    Task<void> load();

    // Makes the host as it should be. Called when it is known which machines run.
    Task<void> start();

    // invalid, conflict "name-taken", "range-overlaps", "bridge-taken"; unavailable.
    Task<NetworkView> create(NetworkOrder order, Ticket ticket);
    // conflict "network-in-use".
    Task<void> remove(std::string name, Ticket ticket);
    [[nodiscard]] std::vector<NetworkView> list() const;
    Result<NetworkView> show(const std::string& name) const;

    // Places for a new machine: the wished ones, or one in the default network. invalid and conflict with the
    // field of "networks".
    Result<std::vector<domain::Interface>>
    places(const std::string& vm, const std::optional<std::vector<InterfaceWish>>& wishes) const;

    // One more place for a machine.
    Result<domain::Interface> place(const domain::Vm& vm, const InterfaceWish& wish) const;

    // Makes the interfaces of a machine that is about to run.
    Task<std::vector<ports::NicPlan>> connect(domain::Vm vm);
    // The same for one more of a machine that runs.
    Task<ports::NicPlan> connect(domain::Vm vm, domain::Interface interface);

    // A machine runs, or does no more.
    void join(const std::string& vm);
    void leave(const std::string& vm);

    // After a machine's record has changed in what networks know of it.
    Task<void> refresh();
    // The same, later; its name or owner has changed.
    void changed(const std::string& vm);

    // Takes the host's port for the machine, when it is the service that publishes it. conflict
    // "port-taken".
    Result<void> reserve(const domain::Vm& vm, const domain::PublishedPort& port);
    // The same for a machine that is not made yet; a port that the machine's own process will take is only
    // looked at.
    Result<void> claim(const domain::Vm& vm, const domain::PublishedPort& port);
    void release(const domain::PublishedPort& port);

    // Begins to answer guests in networks, on a loopback port that it tells; set by whoever wires the
    // application.
    std::function<Result<std::uint16_t>()> serve_metadata;

    // Whether the machine's first interface is in a network of the host's that rules apply to.
    [[nodiscard]] bool routed(const domain::Vm& vm) const;
    [[nodiscard]] bool routed(const domain::Interface& interface) const;

    // When the DHCP server has last given this interface its address; nothing when it never has.
    std::optional<Timestamp> leased_at(const domain::Interface& interface) const;

    // The machine that has this address and runs; the metadata service asks.
    [[nodiscard]] std::string machine_at(std::string_view address) const;

    // What is wrong with which network.
    [[nodiscard]] std::map<std::string, std::string> problems() const;

private:
    [[nodiscard]] std::shared_ptr<const ports::Layout> layout() const;
    [[nodiscard]] std::set<domain::Ip4> taken(const std::string& network, const std::string& but) const;
    Result<domain::Interface> placed(
        const std::string& vm,
        const std::string& id,
        const InterfaceWish& wish,
        const std::string& field
    ) const;
    Result<domain::Network> shaped(const NetworkOrder& order) const;
    Result<void> check_ranges(const domain::Network& network) const;
    Task<domain::Network> fitting(NetworkOrder order);
    void refresh_later(const std::string& vm);
    [[nodiscard]] ports::NicPlan user_nic(const domain::Vm& vm, const domain::Interface& interface) const;

    World& world_;
    ports::HostNetwork& host_;
    std::map<std::string, domain::Network> networks_;
    std::set<std::string> live_;
    std::string metadata_problem_;
};

// How often a lease is renewed, in seconds; what the DHCP server gives.
inline constexpr std::int64_t lease_time_s = 12 * 3600;

}  // namespace vmm::app
