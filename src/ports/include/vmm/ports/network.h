#pragma once

#include "vmm/base/files.h"
#include "vmm/base/task.h"
#include "vmm/domain/vm.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vmm::ports {

// A running machine's interface in a network of the host's, with what the rules need to know of its machine.
struct Plugged {
    Plugged() = default;
    std::string tap;  // the device's name on the host
    domain::Interface interface;
};

// A machine that runs, or is about to, with its interfaces in networks of the host's.
struct Member {
    Member() = default;
    std::string vm;
    std::string name;   // its first label resolves for machines of the same owner
    std::string owner;  // opaque; equal for machines that may reach each other
    std::vector<Plugged> interfaces;
    domain::Firewall firewall;
    std::vector<domain::PublishedPort> ports;
};

// How the host's networks are to be.
struct Layout {
    Layout() = default;
    std::vector<domain::Network> networks;
    std::vector<Member> members;
};

// What the configuration allows all machines.
struct TrafficRules {
    bool isolate_owners = true;
    bool vm_to_vm = true;
    bool vm_to_host = true;
    bool outbound = true;
    bool inbound = false;
};

// What is known of a machine's address from outside: the DHCP server's word.
struct Lease {
    Lease() = default;
    std::string mac;
    std::string address;
    std::int64_t expires_at = 0;  // Unix seconds; 0: never
};

// The host's side of networks: bridges, rules, DHCP and names. Used on the application's executor. Everything
// it makes is found again by the name of the network or of the machine's tap, and by a mark of the service;
// what others made is never touched.
class HostNetwork {
public:
    virtual ~HostNetwork() = default;

    // Makes the host as the layout says, from whatever state it is in. unavailable "network-denied",
    // "dnsmasq-missing", "network-failed"; conflict "bridge-taken". What is wrong with one
    // network alone stands in problems().
    virtual Task<void> apply(std::shared_ptr<const Layout> layout) = 0;

    // Whether the host lets us keep networks, and this one: privileges, programs, ranges that others use, a
    // foreign bridge of its name, the external interface. The error names the field.
    virtual Task<void> check(domain::Network network) = 0;

    // A tap in the network's bridge; it exists as long as somebody holds the descriptor. The layout must
    // have the member.
    virtual Task<std::shared_ptr<Fd>> plug(std::string vm, std::string interface) = 0;

    // Leads what guests in networks of ours send to 169.254.169.254:80 to this port of the loopback address;
    // from the next apply() on.
    virtual void lead_metadata_to(std::uint16_t port) = 0;

    // Takes the host port, so that nobody else can have it. conflict "port-taken", field "host_port".
    virtual Result<void> reserve(const domain::PublishedPort& port) = 0;
    virtual void release(const domain::PublishedPort& port) = 0;

    // The leases given in a network.
    virtual std::vector<Lease> leases(const std::string& network) = 0;

    // Ready, or what is wrong.
    virtual std::map<std::string, std::string> problems() = 0;

    // The interfaces of the host whose networks of ours look outside; for checks. Names only.
    virtual bool has_interface(const std::string& name) = 0;
};

}  // namespace vmm::ports
