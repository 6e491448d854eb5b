#pragma once

#include "vmm/base/process.h"
#include "vmm/ports/network.h"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace vmm::network {

struct DhcpHost {
    std::string mac;
    std::string address;
};

// The argument list of a network's DHCP and DNS server. Pure. `names` is the port on which machines' names
// are known, `resolver` the one on which all others are; 0 when there is no way outside.
std::vector<std::string> network_arguments(
    const domain::Network& network,
    const std::filesystem::path& folder,
    std::uint16_t names,
    std::uint16_t resolver
);

// The argument list of the server that resolves names outside for all networks.
std::vector<std::string> resolver_arguments(
    const std::filesystem::path& folder,
    std::uint16_t port,
    const std::vector<std::string>& servers
);

// The file that the server reads again at SIGHUP.
std::string hosts_file(const std::vector<DhcpHost>& hosts);

std::vector<ports::Lease> read_leases(std::string_view text);

// One dnsmasq with a folder of its own: started anew when it ends, told apart from others by its pid file.
// Outlives the service, so that leases are renewed meanwhile; the next run of the service replaces it.
class Dnsmasq : public std::enable_shared_from_this<Dnsmasq> {
public:
    Dnsmasq(asio::any_io_executor executor, std::string program, std::filesystem::path folder);

    // Ends what an earlier run left, and starts it with these. unavailable "dnsmasq-missing",
    // "dnsmasq-failed" with what it said.
    Task<void> start(std::vector<std::string> arguments);

    // Reads its files again.
    void reload();

    // Ends it for good and removes the folder.
    Task<void> end();

    // Empty while it runs.
    [[nodiscard]] const std::string& problem() const { return problem_; }

private:
    Task<void> launch();
    asio::awaitable<void> watch(std::uint64_t launch);
    Task<void> end_earlier();
    [[nodiscard]] std::string last_words() const;

    asio::any_io_executor executor_;
    std::string program_;
    std::filesystem::path folder_;
    std::vector<std::string> arguments_;
    Process process_;
    std::string problem_;
    std::uint64_t launches_ = 0;
    bool wanted_ = false;
};

}  // namespace vmm::network
