#pragma once

#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <boost/beast/websocket/ssl.hpp>

#include <string>

#include "request.h"

namespace vmm::http {

// A WebSocket over the stream of a connection, plain or encrypted, that is kept by whoever made it.
template <class Stream>
class WebSocketOver final : public WebSocket {
public:
    explicit WebSocketOver(Stream& stream) : socket_{stream} {
        using boost::beast::websocket::stream_base;
        socket_.set_option(stream_base::timeout::suggested(boost::beast::role_type::server));
        socket_.read_message_max(1 << 20);
        socket_.binary(true);
    }

    asio::awaitable<bool>
    accept(const boost::beast::http::request<boost::beast::http::string_body>& raw, std::string request_id) {
        socket_.set_option(boost::beast::websocket::stream_base::decorator(
            [request_id](boost::beast::websocket::response_type& response) {
                response.set("Server", "vmm-service");
                response.set("X-Request-Id", request_id);
            }
        ));
        const auto [failed] = co_await socket_.async_accept(raw, as_value);
        co_return !failed;
    }

    Task<std::string> read() override {
        const auto [failed, count] = co_await socket_.async_read(buffer_, as_value);
        if (failed) {
            co_return fail(Code::unavailable, "the other side has gone");
        }
        auto message = boost::beast::buffers_to_string(buffer_.data());
        buffer_.consume(buffer_.size());
        co_return message;
    }

    Task<void> write(std::string message) override {
        const auto [failed, count] = co_await socket_.async_write(asio::buffer(message), as_value);
        if (failed) {
            co_return fail(Code::unavailable, "the other side has gone");
        }
        co_return Result<void>{};
    }

    asio::awaitable<void> close(std::uint16_t code, std::string reason) override {
        boost::beast::websocket::close_reason why{code};
        why.reason = reason.substr(0, 120);
        co_await socket_.async_close(why, as_value);
    }

    void abort() override { boost::beast::get_lowest_layer(socket_).close(); }

private:
    boost::beast::websocket::stream<Stream&> socket_;
    boost::beast::flat_buffer buffer_;
};

}  // namespace vmm::http
