#pragma once

#include "vmm/ports/network.h"

#include <boost/asio/any_io_executor.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace vmm::network {

struct Settings {
    std::string mark;                      // of this service's store: 8 hex digits; in names of what it makes
    std::filesystem::path folder;          // of DHCP servers' files, a folder per network
    std::string dnsmasq = "dnsmasq";       // a path, or a name looked up in PATH
    std::vector<std::string> dns_servers;  // that names outside are asked of; empty: the host's own
    ports::TrafficRules rules;
};

// Bridges over rtnetlink, rules over nftables, DHCP and DNS by dnsmasq. All in the network namespace that the
// service runs in. Used on this executor, which must run on one thread.
std::unique_ptr<ports::HostNetwork> create_host_network(asio::any_io_executor executor, Settings settings);

}  // namespace vmm::network
