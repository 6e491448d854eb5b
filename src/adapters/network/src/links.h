#pragma once

#include "vmm/base/error.h"
#include "vmm/base/files.h"
#include "vmm/domain/network.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

struct nl_sock;

namespace vmm::network {

// A network device of the host.
struct Link {
    int index = 0;
    std::string name;
    std::string alias;
    std::string type;  // "bridge", "veth", … or empty
    int master = 0;
    unsigned mtu = 0;
    bool up = false;
};

// The kernel's devices, addresses and neighbours over rtnetlink. Every change may be made again. Calls take
// well under a millisecond; unavailable "network-denied" or "network-failed".
class Links {
public:
    Links();

    std::optional<Link> find(const std::string& name);

    Result<void> add_bridge(const std::string& name, const domain::Mac& mac, unsigned mtu);
    Result<void> remove(const std::string& name);
    Result<void> set_alias(int link, const std::string& alias);
    Result<void> set_up(int link, unsigned mtu);
    Result<void> add_address(int link, domain::Ip4 address, unsigned prefix);
    Result<void> add_address(int link, const domain::Ip6& address, unsigned prefix);

    // Puts a device into a bridge. An isolated port reaches the host alone; its MAC is told to the bridge
    // rather than learnt.
    enum class Port : std::uint8_t { shared, isolated };
    Result<void> enslave(int link, int bridge, Port port, const domain::Mac& mac);

    // The host finds this address nowhere but at this MAC.
    Result<void> add_neighbour(int link, domain::Ip4 address, const domain::Mac& mac);
    Result<void> add_neighbour(int link, const domain::Ip6& address, const domain::Mac& mac);

    // The host answers ARP for this address, as if it had it.
    Result<void> add_proxy(int link, domain::Ip4 address);

    Result<void> remove_neighbour(int link, domain::Ip4 address);
    Result<void> remove_neighbour(int link, const domain::Ip6& address);

    // What leaves the device, at most; 0: no limit.
    Result<void> limit(int link, std::uint32_t mbps);

    // IPv4 ranges of the host's addresses, with the device's name.
    std::vector<std::pair<std::string, domain::Range4>> ranges();

    // Our bridges: devices whose alias begins so.
    std::vector<Link> with_alias(std::string_view prefix);

private:
    Result<nl_sock*> socket();

    struct Free {
        void operator()(nl_sock* socket) const;
    };

    std::unique_ptr<nl_sock, Free> socket_;
};

// A tap device that lives as long as the descriptor. unavailable "network-denied".
Result<Fd> open_tap(const std::string& name);

}  // namespace vmm::network
