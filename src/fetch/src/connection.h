#pragma once

#include "vmm/base/text.h"
#include "vmm/fetch/client.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

// What an exchange and an upload have in common: the way to the service, and its answer.
namespace vmm::fetch {

inline std::unexpected<Error> unreachable(const Origin& origin, const boost::system::error_code& failed) {
    const auto where = origin.host + ":" + std::to_string(origin.port);
    if (failed == boost::beast::error::timeout) {
        return fail(Code::timed_out, where + " did not answer in time");
    }
    return fail(Error{Code::unavailable, where + " cannot be reached: " + failed.message()}.with_slug(
        "service-unreachable"
    ));
}

inline Task<void> connect(boost::beast::tcp_stream& stream, Origin origin) {
    asio::ip::tcp::resolver resolver{stream.get_executor()};
    const auto [unknown, places] =
        co_await resolver.async_resolve(origin.host, std::to_string(origin.port), as_value);
    if (unknown) {
        co_return unreachable(origin, unknown);
    }
    const auto [refused, place] = co_await stream.async_connect(places, as_value);
    if (refused) {
        co_return unreachable(origin, refused);
    }
    co_return Result<void>{};
}

inline Response taken(boost::beast::http::response<boost::beast::http::string_body> answer) {
    Response response;
    response.status = static_cast<int>(answer.result_int());
    for (const auto& field : answer) {
        response.headers[lower(field.name_string())] = field.value();
    }
    response.body = std::move(answer.body());
    return response;
}

}  // namespace vmm::fetch
