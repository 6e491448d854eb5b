#pragma once

#include "vmm/network/host_network.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "dnsmasq.h"

namespace vmm::network {

// DHCP and DNS: a server for each network of ours, and one for names outside. Used on one executor; the
// settings outlive it.
class Servers {
public:
    Servers(asio::any_io_executor executor, const Settings& settings);

    // Makes the servers as the layout says; networks that have a problem have none. `names` and `resolver`
    // are loopback ports.
    asio::awaitable<void> keep(
        const ports::Layout& layout,
        const std::map<std::string, std::string>& problems,
        std::uint16_t names,
        std::uint16_t resolver
    );

    // Tells the servers who is there.
    void write_hosts(const ports::Layout& layout);

    [[nodiscard]] std::vector<ports::Lease> leases(const std::string& network) const;

    // Of servers that do not run.
    [[nodiscard]] std::map<std::string, std::string> problems() const;

private:
    struct Server {
        std::shared_ptr<Dnsmasq> process;
        std::vector<std::string> arguments;
        std::string hosts;
    };

    static constexpr const char* resolver_name = "+resolver";

    [[nodiscard]] std::filesystem::path folder(const std::string& network) const {
        return settings_.folder / network;
    }

    std::shared_ptr<Dnsmasq> server(const std::string& name);
    asio::awaitable<void> drop_folders(const std::map<std::string, std::vector<std::string>>& wanted);

    asio::any_io_executor executor_;
    const Settings& settings_;
    std::map<std::string, Server> servers_;
    std::optional<std::map<std::string, std::vector<pid_t>>> earlier_;  // once looked for
};

}  // namespace vmm::network
