#include "links.h"

#include "vmm/base/text.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/qdisc.h>
#include <netlink/route/qdisc/tbf.h>
#include <netlink/route/tc.h>
#include <sys/ioctl.h>

#include <algorithm>

namespace vmm::network {
namespace {

constexpr int bytes_per_mbit = 125'000;

template <auto put>
struct Put {
    template <class T>
    void operator()(T* object) const {
        put(object);
    }
};

void free_message(nl_msg* message) {
    nlmsg_free(message);
}

using Message = std::unique_ptr<nl_msg, Put<free_message>>;
using LinkObject = std::unique_ptr<rtnl_link, Put<rtnl_link_put>>;
using AddressObject = std::unique_ptr<rtnl_addr, Put<rtnl_addr_put>>;
using NeighbourObject = std::unique_ptr<rtnl_neigh, Put<rtnl_neigh_put>>;
using QdiscObject = std::unique_ptr<rtnl_qdisc, Put<rtnl_qdisc_put>>;
using Address = std::unique_ptr<nl_addr, Put<nl_addr_put>>;
using Cache = std::unique_ptr<nl_cache, Put<nl_cache_free>>;

Result<void> checked(std::string_view what, int outcome) {
    if (outcome >= 0) {
        return {};
    }
    const bool denied = outcome == -NLE_PERM || outcome == -NLE_NOACCESS;
    return fail(Error{
        Code::unavailable,
        std::string{what} + ": " +
            (denied ? "the service lacks the privilege CAP_NET_ADMIN" : nl_geterror(outcome))
    }
                    .with_slug(denied ? "network-denied" : "network-failed"));
}

Result<void> unless_there(std::string_view what, int outcome) {
    return outcome == -NLE_EXIST ? Result<void>{} : checked(what, outcome);
}

// Sends a message of our own making and takes the kernel's answer.
int send(nl_sock* socket, Message message) {
    return nl_send_sync(socket, message.release());
}

Address address_of(domain::Ip4 address, unsigned prefix) {
    const std::uint32_t wire = htonl(address.value);
    Address out{nl_addr_build(AF_INET, &wire, sizeof wire)};
    nl_addr_set_prefixlen(out.get(), static_cast<int>(prefix));
    return out;
}

Address address_of(const domain::Ip6& address, unsigned prefix) {
    Address out{nl_addr_build(AF_INET6, address.data(), address.size())};
    nl_addr_set_prefixlen(out.get(), static_cast<int>(prefix));
    return out;
}

Address address_of(const domain::Mac& mac) {
    nl_addr* parsed = nullptr;
    nl_addr_parse(mac.c_str(), AF_LLC, &parsed);
    return Address{parsed};
}

Link read(rtnl_link* link) {
    const auto text = [](const char* value) { return std::string{value == nullptr ? "" : value}; };
    Link out;
    out.index = rtnl_link_get_ifindex(link);
    out.name = text(rtnl_link_get_name(link));
    out.alias = text(rtnl_link_get_ifalias(link));
    out.type = text(rtnl_link_get_type(link));
    out.master = rtnl_link_get_master(link);
    out.mtu = rtnl_link_get_mtu(link);
    out.up = (rtnl_link_get_flags(link) & IFF_UP) != 0;
    return out;
}

// Changes the device's own settings by `set`.
template <class Set>
Result<void> change(nl_sock* socket, int index, std::string_view what, Set set) {
    LinkObject wanted{rtnl_link_alloc()};
    rtnl_link_set_ifindex(wanted.get(), index);
    set(wanted.get());
    return checked(what, rtnl_link_change(socket, wanted.get(), wanted.get(), 0));
}

int add_neighbour_to(nl_sock* socket, int link, nl_addr* address, const domain::Mac& mac) {
    const NeighbourObject neighbour{rtnl_neigh_alloc()};
    const auto hardware = address_of(mac);
    rtnl_neigh_set_ifindex(neighbour.get(), link);
    rtnl_neigh_set_state(neighbour.get(), NUD_PERMANENT);
    rtnl_neigh_set_lladdr(neighbour.get(), hardware.get());
    rtnl_neigh_set_dst(neighbour.get(), address);
    return rtnl_neigh_add(socket, neighbour.get(), NLM_F_CREATE | NLM_F_REPLACE);
}

Result<void> remove_neighbour_from(nl_sock* socket, int link, nl_addr* address) {
    const NeighbourObject neighbour{rtnl_neigh_alloc()};
    rtnl_neigh_set_ifindex(neighbour.get(), link);
    rtnl_neigh_set_dst(neighbour.get(), address);
    const int outcome = rtnl_neigh_delete(socket, neighbour.get(), 0);
    return outcome == -NLE_OBJ_NOTFOUND ? Result<void>{} : checked("unpinning an address", outcome);
}

}  // namespace

void Links::Free::operator()(nl_sock* socket) const {
    nl_socket_free(socket);
}

Links::Links() = default;

Result<nl_sock*> Links::socket() {
    if (!socket_) {
        std::unique_ptr<nl_sock, Free> fresh{nl_socket_alloc()};
        CHECK(checked("opening rtnetlink", nl_connect(fresh.get(), NETLINK_ROUTE)));
        socket_ = std::move(fresh);
    }
    return socket_.get();
}

std::optional<Link> Links::find(const std::string& name) {
    const auto to = socket();
    rtnl_link* found = nullptr;
    if (!to || rtnl_link_get_kernel(*to, 0, name.c_str(), &found) < 0) {
        return std::nullopt;
    }
    const LinkObject link{found};
    return read(link.get());
}

Result<void> Links::add_bridge(const std::string& name, const domain::Mac& mac, unsigned mtu) {
    TRY(auto* to, socket());
    Message message{nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL)};
    const ifinfomsg header{};
    nlmsg_append(message.get(), const_cast<ifinfomsg*>(&header), sizeof header, NLMSG_ALIGNTO);
    nla_put_string(message.get(), IFLA_IFNAME, name.c_str());
    nla_put_u32(message.get(), IFLA_MTU, mtu);
    const auto hardware = address_of(mac);
    nla_put(
        message.get(),
        IFLA_ADDRESS,
        static_cast<int>(nl_addr_get_len(hardware.get())),
        nl_addr_get_binary_addr(hardware.get())
    );
    auto* info = nla_nest_start(message.get(), IFLA_LINKINFO);
    nla_put_string(message.get(), IFLA_INFO_KIND, "bridge");
    auto* data = nla_nest_start(message.get(), IFLA_INFO_DATA);
    // Neighbour discovery must reach every port, whoever has joined which group.
    nla_put_u8(message.get(), IFLA_BR_MCAST_SNOOPING, 0);
    nla_put_u32(message.get(), IFLA_BR_STP_STATE, 0);
    nla_put_u32(message.get(), IFLA_BR_FORWARD_DELAY, 0);
    nla_nest_end(message.get(), data);
    nla_nest_end(message.get(), info);
    return unless_there("making the bridge " + name, send(to, std::move(message)));
}

Result<void> Links::remove(const std::string& name) {
    TRY(auto* to, socket());
    const LinkObject link{rtnl_link_alloc()};
    rtnl_link_set_name(link.get(), name.c_str());
    const int outcome = rtnl_link_delete(to, link.get());
    return outcome == -NLE_NODEV || outcome == -NLE_OBJ_NOTFOUND ? Result<void>{}
                                                                 : checked("removing " + name, outcome);
}

Result<void> Links::set_alias(int link, const std::string& alias) {
    TRY(auto* to, socket());
    return change(to, link, "naming the bridge", [&alias](rtnl_link* wanted) {
        rtnl_link_set_ifalias(wanted, alias.c_str());
    });
}

Result<void> Links::set_up(int link, unsigned mtu) {
    TRY(auto* to, socket());
    return change(to, link, "setting a device up", [mtu](rtnl_link* wanted) {
        rtnl_link_set_mtu(wanted, mtu);
        rtnl_link_set_flags(wanted, IFF_UP);
    });
}

Result<void> Links::add_address(int link, domain::Ip4 address, unsigned prefix) {
    TRY(auto* to, socket());
    const AddressObject wanted{rtnl_addr_alloc()};
    const auto local = address_of(address, prefix);
    rtnl_addr_set_ifindex(wanted.get(), link);
    rtnl_addr_set_local(wanted.get(), local.get());
    return unless_there(
        "giving the bridge " + domain::text(address), rtnl_addr_add(to, wanted.get(), NLM_F_CREATE)
    );
}

Result<void> Links::add_address(int link, const domain::Ip6& address, unsigned prefix) {
    TRY(auto* to, socket());
    const AddressObject wanted{rtnl_addr_alloc()};
    const auto local = address_of(address, prefix);
    rtnl_addr_set_ifindex(wanted.get(), link);
    rtnl_addr_set_local(wanted.get(), local.get());
    // A bridge without a port up would look for duplicates for ever.
    rtnl_addr_set_flags(wanted.get(), IFA_F_NODAD);
    return unless_there(
        "giving the bridge " + domain::text(address), rtnl_addr_add(to, wanted.get(), NLM_F_CREATE)
    );
}

Result<void> Links::enslave(int link, int bridge, Port port, const domain::Mac& mac) {
    TRY(auto* to, socket());
    CHECK(change(to, link, "adding a device to its bridge", [bridge](rtnl_link* wanted) {
        rtnl_link_set_master(wanted, bridge);
        rtnl_link_set_flags(wanted, IFF_UP);
    }));
    if (port == Port::shared) {
        return {};
    }
    Message message{nlmsg_alloc_simple(RTM_SETLINK, 0)};
    ifinfomsg header{};
    header.ifi_family = AF_BRIDGE;
    header.ifi_index = link;
    nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO);
    auto* nest = nla_nest_start(message.get(), IFLA_PROTINFO | NLA_F_NESTED);
    nla_put_u8(message.get(), IFLA_BRPORT_ISOLATED, 1);
    nla_put_u8(message.get(), IFLA_BRPORT_LEARNING, 0);
    nla_nest_end(message.get(), nest);
    CHECK(checked("isolating a port", send(to, std::move(message))));

    const NeighbourObject entry{rtnl_neigh_alloc()};
    const auto hardware = address_of(mac);
    rtnl_neigh_set_family(entry.get(), AF_BRIDGE);
    rtnl_neigh_set_ifindex(entry.get(), link);
    rtnl_neigh_set_state(entry.get(), NUD_NOARP);
    rtnl_neigh_set_flags(entry.get(), NTF_MASTER);
    rtnl_neigh_set_lladdr(entry.get(), hardware.get());
    return checked(
        "telling the bridge a machine's MAC", rtnl_neigh_add(to, entry.get(), NLM_F_CREATE | NLM_F_REPLACE)
    );
}

Result<void> Links::add_neighbour(int link, domain::Ip4 address, const domain::Mac& mac) {
    TRY(auto* to, socket());
    const auto where = address_of(address, 32);
    return checked("pinning " + domain::text(address), add_neighbour_to(to, link, where.get(), mac));
}

Result<void> Links::add_neighbour(int link, const domain::Ip6& address, const domain::Mac& mac) {
    TRY(auto* to, socket());
    const auto where = address_of(address, 128);
    return checked("pinning " + domain::text(address), add_neighbour_to(to, link, where.get(), mac));
}

Result<void> Links::add_proxy(int link, domain::Ip4 address) {
    TRY(auto* to, socket());
    const NeighbourObject entry{rtnl_neigh_alloc()};
    const auto where = address_of(address, 32);
    rtnl_neigh_set_ifindex(entry.get(), link);
    rtnl_neigh_set_flags(entry.get(), NTF_PROXY);
    rtnl_neigh_set_dst(entry.get(), where.get());
    return checked(
        "answering for " + domain::text(address),
        rtnl_neigh_add(to, entry.get(), NLM_F_CREATE | NLM_F_REPLACE)
    );
}

Result<void> Links::remove_neighbour(int link, domain::Ip4 address) {
    TRY(auto* to, socket());
    const auto where = address_of(address, 32);
    return remove_neighbour_from(to, link, where.get());
}

Result<void> Links::remove_neighbour(int link, const domain::Ip6& address) {
    TRY(auto* to, socket());
    const auto where = address_of(address, 128);
    return remove_neighbour_from(to, link, where.get());
}

Result<void> Links::limit(int link, std::uint32_t mbps) {
    TRY(auto* to, socket());
    const QdiscObject qdisc{rtnl_qdisc_alloc()};
    rtnl_tc_set_ifindex(TC_CAST(qdisc.get()), link);
    rtnl_tc_set_parent(TC_CAST(qdisc.get()), TC_H_ROOT);
    if (mbps == 0) {
        const int outcome = rtnl_qdisc_delete(to, qdisc.get());
        // Nothing but the default was there.
        const bool none = outcome == -NLE_OBJ_NOTFOUND || outcome == -NLE_INVAL || outcome == -NLE_OPNOTSUPP;
        return none ? Result<void>{} : checked("lifting a bandwidth limit", outcome);
    }
    const auto rate = static_cast<int>(std::min<std::uint32_t>(mbps, 16'000)) * bytes_per_mbit;
    const int burst = std::max(rate / 20, 32 << 10);  // 50 ms
    rtnl_tc_set_handle(TC_CAST(qdisc.get()), TC_HANDLE(1, 0));
    rtnl_tc_set_kind(TC_CAST(qdisc.get()), "tbf");
    rtnl_qdisc_tbf_set_rate(qdisc.get(), rate, burst, 0);
    rtnl_qdisc_tbf_set_limit(qdisc.get(), burst + rate / 10);  // waits 100 ms at most
    return checked("limiting bandwidth", rtnl_qdisc_add(to, qdisc.get(), NLM_F_CREATE | NLM_F_REPLACE));
}

std::vector<std::pair<std::string, domain::Range4>> Links::ranges() {
    std::vector<std::pair<std::string, domain::Range4>> out;
    const auto to = socket();
    nl_cache* found = nullptr;
    if (!to || rtnl_addr_alloc_cache(*to, &found) < 0) {
        return out;
    }
    const Cache cache{found};
    for (auto* object = nl_cache_get_first(cache.get()); object != nullptr;
         object = nl_cache_get_next(object)) {
        auto* address = reinterpret_cast<rtnl_addr*>(object);
        auto* local = rtnl_addr_get_local(address);
        if (local == nullptr || nl_addr_get_family(local) != AF_INET) {
            continue;
        }
        std::uint32_t wire = 0;
        std::copy_n(
            static_cast<const char*>(nl_addr_get_binary_addr(local)), 4, reinterpret_cast<char*>(&wire)
        );
        const auto prefix = static_cast<unsigned>(rtnl_addr_get_prefixlen(address));
        const std::uint32_t mask = prefix == 0 ? 0 : ~0U << (32 - prefix);
        std::array<char, IF_NAMESIZE> name{};
        if_indextoname(static_cast<unsigned>(rtnl_addr_get_ifindex(address)), name.data());
        out.emplace_back(name.data(), domain::Range4{{ntohl(wire) & mask}, prefix});
    }
    return out;
}

std::vector<Link> Links::with_alias(std::string_view prefix) {
    std::vector<Link> out;
    const auto to = socket();
    nl_cache* found = nullptr;
    if (!to || rtnl_link_alloc_cache(*to, AF_UNSPEC, &found) < 0) {
        return out;
    }
    const Cache cache{found};
    for (auto* object = nl_cache_get_first(cache.get()); object != nullptr;
         object = nl_cache_get_next(object)) {
        auto link = read(reinterpret_cast<rtnl_link*>(object));
        if (link.alias.starts_with(prefix)) {
            out.push_back(std::move(link));
        }
    }
    return out;
}

Result<Fd> open_tap(const std::string& name) {
    Fd fd{::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)};
    if (!fd) {
        return fail(os_error("opening /dev/net/tun"));
    }
    ifreq request{};
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    if (::ioctl(fd.get(), TUNSETIFF, &request) != 0) {
        const bool denied = errno == EPERM;
        auto error = os_error("making the tap " + name);
        return fail(std::move(error).with_slug(denied ? "network-denied" : "network-failed"));
    }
    return fd;
}

}  // namespace vmm::network
