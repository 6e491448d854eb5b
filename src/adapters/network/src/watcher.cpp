#include "watcher.h"

#include "vmm/base/task.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace vmm::network {
namespace {

constexpr int receive_bytes = 4 << 20;

int listen_to(int protocol, int group) {
    const int fd = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    sockaddr_nl here{};
    here.nl_family = AF_NETLINK;
    if (fd < 0 || ::bind(fd, reinterpret_cast<const sockaddr*>(&here), sizeof here) != 0 ||
        ::setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
        if (fd >= 0) {
            ::close(fd);
        }
        return -1;
    }
    (void)::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes);
    return fd;
}

// Calls for each message with its type and what follows its header.
template <class Each>
void for_messages(std::string_view bytes, Each each) {
    nlmsghdr header{};
    while (bytes.size() >= sizeof header) {
        std::memcpy(&header, bytes.data(), sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) {
            return;
        }
        each(header.nlmsg_type, bytes.substr(sizeof header, header.nlmsg_len - sizeof header));
        bytes.remove_prefix(std::min<std::size_t>(bytes.size(), NLMSG_ALIGN(header.nlmsg_len)));
    }
}

// The payload of the attribute, behind a family's header of so many bytes.
std::string_view attribute(std::string_view message, std::size_t header_bytes, unsigned wanted) {
    message.remove_prefix(std::min(message.size(), NLMSG_ALIGN(header_bytes)));
    nlattr header{};
    while (message.size() >= sizeof header) {
        std::memcpy(&header, message.data(), sizeof header);
        if (header.nla_len < sizeof header || header.nla_len > message.size()) {
            return {};
        }
        if ((header.nla_type & NLA_TYPE_MASK) == wanted) {
            return message.substr(sizeof header, header.nla_len - sizeof header);
        }
        message.remove_prefix(std::min<std::size_t>(message.size(), NLA_ALIGN(header.nla_len)));
    }
    return {};
}

std::string_view text(std::string_view payload) {
    return payload.substr(0, payload.find('\0'));
}

}  // namespace

void read_rule_messages(
    std::string_view messages,
    std::string_view table,
    std::string_view own_thread,
    Disturbance& state
) {
    for_messages(messages, [&](unsigned type, std::string_view message) {
        if (type >> 8 != NFNL_SUBSYS_NFTABLES) {
            return;
        }
        switch (type & 255) {
            case NFT_MSG_DELTABLE:
            case NFT_MSG_DELCHAIN:
            case NFT_MSG_DELRULE:
            case NFT_MSG_DELSET:
            case NFT_MSG_DELSETELEM:
                // The table's name is the first attribute of each of them.
                if (text(attribute(message, sizeof(nfgenmsg), NFTA_TABLE_NAME)) == table) {
                    state.table_touched = true;
                }
                break;
            case NFT_MSG_NEWGEN: {
                const auto thread = text(attribute(message, sizeof(nfgenmsg), NFTA_GEN_PROC_NAME));
                state.disturbed |= state.table_touched && thread != own_thread;
                state.table_touched = false;
                break;
            }
            default: break;
        }
    });
}

std::set<std::string> read_gone_links(std::string_view messages) {
    std::set<std::string> out;
    for_messages(messages, [&out](unsigned type, std::string_view message) {
        if (type == RTM_DELLINK) {
            out.emplace(text(attribute(message, sizeof(ifinfomsg), IFLA_IFNAME)));
        }
    });
    return out;
}

Watcher::Watcher(
    boost::asio::any_io_executor executor,
    std::string table,
    std::string own_thread,
    std::function<void()> disturbed
)
    : rules_{executor},
      links_{executor},
      table_{std::move(table)},
      own_thread_{std::move(own_thread)},
      disturbed_{std::move(disturbed)} {}

void Watcher::open() {
    const auto self = shared_from_this();
    const int rules = listen_to(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
    if (rules >= 0) {
        rules_.assign(rules);
        asio::co_spawn(rules_.get_executor(), [self] { return self->watch_rules(); }, asio::detached);
    }
    const int links = listen_to(NETLINK_ROUTE, RTNLGRP_LINK);
    if (links >= 0) {
        links_.assign(links);
        asio::co_spawn(links_.get_executor(), [self] { return self->watch_links(); }, asio::detached);
    }
}

void Watcher::close() {
    boost::system::error_code ignored;
    rules_.close(ignored);
    links_.close(ignored);
}

asio::awaitable<void> Watcher::watch_rules() {
    std::array<char, 65536> block{};
    Disturbance state;
    while (rules_.is_open()) {
        const auto [failed, count] = co_await rules_.async_read_some(asio::buffer(block), as_value);
        if (failed && failed.value() != ENOBUFS) {
            break;
        }
        if (failed) {
            state.disturbed = true;  // more was said than could be heard
        } else {
            read_rule_messages({block.data(), count}, table_, own_thread_, state);
        }
        if (std::exchange(state.disturbed, false)) {
            disturbed_();
        }
    }
}

asio::awaitable<void> Watcher::watch_links() {
    std::array<char, 65536> block{};
    while (links_.is_open()) {
        const auto [failed, count] = co_await links_.async_read_some(asio::buffer(block), as_value);
        if (failed && failed.value() != ENOBUFS) {
            break;
        }
        const auto gone = failed ? bridges_ : read_gone_links({block.data(), count});
        for (const auto& name : gone) {
            if (bridges_.contains(name)) {
                disturbed_();
                break;
            }
        }
    }
}

}  // namespace vmm::network
