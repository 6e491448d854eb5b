#pragma once

#include "vmm/base/error.h"

#include <boost/asio/ip/address.hpp>

#include <string_view>

namespace vmm::http {

// A network by its address and the length of its prefix.
class Network {
public:
    // An address, or one with /LENGTH. invalid.
    static Result<Network> parse(std::string_view text);

    [[nodiscard]] bool contains(const boost::asio::ip::address& address) const;

private:
    boost::asio::ip::address_v6 base_;  // IPv4 as mapped
    unsigned bits_ = 128;
};

}  // namespace vmm::http
