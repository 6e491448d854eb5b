#include "vmm/http/network.h"

#include "vmm/base/text.h"

namespace vmm::http {
namespace {

namespace ip = boost::asio::ip;

ip::address_v6 as_v6(const ip::address& address) {
    return address.is_v4() ? ip::make_address_v6(ip::v4_mapped, address.to_v4()) : address.to_v6();
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
    const auto slash = text.find('/');
    boost::system::error_code wrong;
    const auto address = ip::make_address(std::string{text.substr(0, slash)}, wrong);
    if (wrong) {
        return fail(Code::invalid, quote(text) + " is no IP address or network");
    }
    const unsigned whole = address.is_v4() ? 32 : 128;
    const auto bits = slash == std::string_view::npos ? std::optional{whole}
                                                      : parse_number<unsigned>(text.substr(slash + 1));
    if (!bits || *bits > whole) {
        return fail(Code::invalid, quote(text) + " has no prefix length of 0 to " + std::to_string(whole));
    }
    Network network;
    network.base_ = as_v6(address);
    network.bits_ = *bits + (128 - whole);
    return network;
}

bool Network::contains(const ip::address& address) const {
    const auto given = as_v6(address);
    if (given.is_v4_mapped() != base_.is_v4_mapped()) {
        return false;
    }
    const auto mine = base_.to_bytes();
    const auto theirs = given.to_bytes();
    for (unsigned bit = 0; bit < bits_; ++bit) {
        const auto mask = static_cast<unsigned char>(0x80U >> (bit % 8));
        if ((mine[bit / 8] & mask) != (theirs[bit / 8] & mask)) {
            return false;
        }
    }
    return true;
}

}  // namespace vmm::http
