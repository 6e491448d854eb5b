#include "vmm/base/text.h"
#include "vmm/fetch/stream.h"

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <algorithm>
#include <array>

namespace vmm::fetch {
namespace {

using asio::ip::make_network_v4;
using asio::ip::make_network_v6;

// IANA's registries of special-purpose addresses.
bool special(const asio::ip::address_v4& address) {
    static const std::array ranges{
        make_network_v4("0.0.0.0/8"),
        make_network_v4("10.0.0.0/8"),
        make_network_v4("100.64.0.0/10"),
        make_network_v4("127.0.0.0/8"),
        make_network_v4("169.254.0.0/16"),
        make_network_v4("172.16.0.0/12"),
        make_network_v4("192.0.0.0/24"),
        make_network_v4("192.0.2.0/24"),
        make_network_v4("192.168.0.0/16"),
        make_network_v4("198.18.0.0/15"),
        make_network_v4("198.51.100.0/24"),
        make_network_v4("203.0.113.0/24"),
        make_network_v4("224.0.0.0/3"),
    };
    return std::ranges::any_of(ranges, [&address](const auto& range) {
        return range.canonical() == asio::ip::network_v4{address, range.prefix_length()}.canonical();
    });
}

bool special(const asio::ip::address_v6& address) {
    if (address.is_v4_mapped()) {
        return special(asio::ip::make_address_v4(asio::ip::v4_mapped, address));
    }
    // Only 2000::/3 is the public Internet, less what carries other addresses within (6to4, Teredo) and
    // documentation.
    static const auto global = make_network_v6("2000::/3");
    static const std::array ranges{
        make_network_v6("2001::/23"), make_network_v6("2001:db8::/32"), make_network_v6("2002::/16")
    };
    const auto within = [&address](const auto& range) {
        return range.canonical() == asio::ip::network_v6{address, range.prefix_length()}.canonical();
    };
    return !within(global) || std::ranges::any_of(ranges, within);
}

}  // namespace

bool is_public(const asio::ip::address& address) {
    return address.is_v4() ? !special(address.to_v4()) : !special(address.to_v6());
}

Result<Url> parse_url(std::string_view text) {
    const auto parsed = boost::urls::parse_uri(text);
    if (!parsed || (parsed->scheme() != "http" && parsed->scheme() != "https") || parsed->host().empty()) {
        return invalid("url", "expected http://HOST/… or https://HOST/…, found " + quote(text));
    }
    if (parsed->has_userinfo()) {
        return invalid("url", "a url with a user or a password is not taken");
    }
    Url url;
    url.secure = parsed->scheme() == "https";
    url.host = parsed->host_address();
    url.port = url.secure ? 443 : 80;
    if (parsed->has_port()) {
        const auto port = parse_number<std::uint16_t>(std::string{parsed->port()});
        if (!port || *port == 0) {
            return invalid("url", "the port of " + quote(text) + " is not one");
        }
        url.port = *port;
    }
    url.target = std::string{parsed->encoded_path()};
    if (url.target.empty()) {
        url.target = "/";
    }
    if (parsed->has_query()) {
        url.target.append("?").append(std::string{parsed->encoded_query()});
    }
    return url;
}

}  // namespace vmm::fetch
