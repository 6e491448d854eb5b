#pragma once

#include "vmm/base/task.h"
#include "vmm/ports/network.h"

#include <boost/asio/ip/udp.hpp>

#include <map>
#include <memory>
#include <string>

namespace vmm::network {

// Answers for NAME.vm.internal and for addresses of machines, on a loopback port, to whoever asks for a
// machine of the same owner. The DNS servers of the networks forward such questions here and say for whom.
// Used on one executor; lives until close(), which ends what runs.
class Names : public std::enable_shared_from_this<Names> {
public:
    explicit Names(asio::any_io_executor executor);

    Result<void> open();
    void close();

    [[nodiscard]] std::uint16_t port() const { return port_; }

    void set(std::shared_ptr<const ports::Layout> layout);

    // The answer to a message, or nothing when it deserves none.
    [[nodiscard]] std::string answer(std::string_view message) const;

private:
    struct Known {
        Known() = default;
        std::string owner;
        std::string name;
    };

    asio::awaitable<void> serve();

    asio::ip::udp::socket socket_;
    std::uint16_t port_ = 0;
    std::map<std::pair<std::string, std::string>, ports::Plugged> by_name_;  // owner, name
    std::map<domain::Ip4, Known> by_address_;
    std::map<domain::Ip6, Known> by_address6_;
};

inline constexpr std::string_view internal_domain = "vm.internal";

// A machine's name as a label: lower case, what DNS does not have replaced by '-'.
std::string label_of(std::string_view name);

}  // namespace vmm::network
