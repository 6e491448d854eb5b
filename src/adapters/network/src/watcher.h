#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace vmm::network {

// What a batch of the kernel's messages says.
struct Disturbance {
    bool table_touched = false;  // something of our table was deleted in a change not yet told whole
    bool disturbed = false;      // … by another thread than ours
};

// Reads messages of nftables' notification group; carries `table_touched` over to the next batch.
void read_rule_messages(
    std::string_view messages,
    std::string_view table,
    std::string_view own_thread,
    Disturbance& state
);

// The names of devices that went away.
std::set<std::string> read_gone_links(std::string_view messages);

// Tells when somebody else removes rules of ours, or one of our bridges. Lives until close().
class Watcher : public std::enable_shared_from_this<Watcher> {
public:
    // Changes made by the thread of this name are our own: numbers of processes differ between namespaces.
    Watcher(
        boost::asio::any_io_executor executor,
        std::string table,
        std::string own_thread,
        std::function<void()> disturbed
    );

    void open();
    void close();

    // The bridges that it looks after.
    void set_bridges(std::set<std::string> names) { bridges_ = std::move(names); }

private:
    boost::asio::awaitable<void> watch_rules();
    boost::asio::awaitable<void> watch_links();

    boost::asio::posix::stream_descriptor rules_;
    boost::asio::posix::stream_descriptor links_;
    std::string table_;
    std::string own_thread_;
    std::function<void()> disturbed_;
    std::set<std::string> bridges_;
};

}  // namespace vmm::network
