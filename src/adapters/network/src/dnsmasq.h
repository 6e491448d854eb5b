#pragma once

#include "vmm/base/process.h"
#include "vmm/ports/network.h"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
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

// The servers whose folders lie in this one, by their folders' names: what an earlier run of the service has
// left. Reads all of /proc.
std::map<std::string, std::vector<pid_t>> find_servers(const std::filesystem::path& folders);

// One dnsmasq with a folder of its own: started until it runs, and anew when it ends.
// Outlives the service, so that leases are renewed meanwhile; the next run of the service replaces it.
class Dnsmasq : public std::enable_shared_from_this<Dnsmasq> {
public:
    // `earlier`, of an earlier run of the service, are ended before another is started.
    Dnsmasq(
        asio::any_io_executor executor,
        std::string program,
        std::filesystem::path folder,
        std::vector<pid_t> earlier
    );

    // Ends what an earlier run left, and starts it with these. One that does not run has a problem, and is
    // tried again until it does.
    asio::awaitable<void> start(std::vector<std::string> arguments);

    // Reads its files again.
    void reload();

    // Ends it for good and removes the folder.
    asio::awaitable<void> end();

    // Empty while it runs.
    [[nodiscard]] const std::string& problem() const { return problem_; }

private:
    Task<void> launch(std::uint64_t number);
    asio::awaitable<void> watch(Process process, std::uint64_t number);
    asio::awaitable<void> persist(std::uint64_t number);
    void note(std::uint64_t number, const Error& failure);

    [[nodiscard]] bool superseded(std::uint64_t number) const { return !wanted_ || number != launches_; }

    asio::awaitable<void> end_running();
    [[nodiscard]] std::string last_words() const;

    asio::any_io_executor executor_;
    std::string program_;
    std::filesystem::path folder_;
    std::vector<pid_t> earlier_;
    std::vector<std::string> arguments_;
    Process process_;
    std::string problem_;
    std::uint64_t launches_ = 0;  // the number of the last; whoever is at work on an earlier one gives up
    std::chrono::milliseconds pause_{};
    bool wanted_ = false;
    bool warned_ = false;
};

}  // namespace vmm::network
