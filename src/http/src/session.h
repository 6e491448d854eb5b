#pragma once

#include "vmm/base/ids.h"
#include "vmm/http/status.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <algorithm>
#include <atomic>
#include <string>

#include "reply.h"
#include "request.h"

// One HTTP/1.1 connection. A template, so that the fuzzer can run it on a stream in memory.
namespace vmm::http {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

using RawRequest = bhttp::request<bhttp::string_body>;

// A sane X-Request-Id of the client's, or a new one.
std::string request_id_of(const RawRequest& raw);
Request to_request(RawRequest raw, const std::string& peer);
// The answer as it goes over the wire; of a HEAD without its body.
std::string written(const Reply& reply, bool keep_alive, bool head, const std::string& request_id);

// The problem that answers a message which cannot be read; nothing when the connection just ended.
std::optional<Error> reading_problem(const boost::system::error_code& failed);

template <class Stream>
class Session {
public:
    Session(Stream stream, Service& service, std::string peer, const std::atomic<bool>& draining)
        : stream_{std::move(stream)}, service_{service}, peer_{std::move(peer)}, draining_{draining} {}

    asio::awaitable<void> run() {
        while (!draining_) {
            if (!co_await readable()) {
                break;
            }
            if (!co_await exchange()) {
                break;
            }
        }
        co_await close();
    }

    Stream& stream() { return stream_; }

    // Between requests, so that a server that stops may close it.
    [[nodiscard]] bool idle() const { return idle_; }

    // Whether what the session waits for has taken too long; then its stream is to be closed.
    [[nodiscard]] bool overdue(std::chrono::steady_clock::time_point at) const { return at > deadline_; }

private:
    static constexpr bool is_socket = requires(Stream& stream, boost::system::error_code& failed) {
        stream.shutdown(asio::socket_base::shutdown_both, failed);
    };

    void limit(std::chrono::milliseconds time) { deadline_ = std::chrono::steady_clock::now() + time; }

    // Waits for the first bytes of a request. Holds next to nothing meanwhile.
    asio::awaitable<bool> readable() {
        if (buffer_.size() > 0) {
            co_return true;
        }
        idle_ = true;
        limit(service_.idle_limit);
        const auto [failed, count] = co_await stream_.async_read_some(buffer_.prepare(512), as_value);
        idle_ = false;
        buffer_.commit(count);
        co_return !failed && count > 0;
    }

    // One request and its answer; false when the connection ends with it.
    asio::awaitable<bool> exchange() {
        bhttp::request_parser<bhttp::string_body> parser;
        parser.header_limit(static_cast<std::uint32_t>(service_.max_header_bytes));
        parser.body_limit(service_.max_body_bytes);
        limit(service_.header_limit);
        auto [failed, count] = co_await bhttp::async_read_header(stream_, buffer_, parser, as_value);
        if (!failed && equals_continue(parser.get())) {
            co_await say_continue();
        }
        if (!failed && !parser.is_done()) {
            limit(service_.body_limit);
            const auto [body_failed, body_count] =
                co_await bhttp::async_read(stream_, buffer_, parser, as_value);
            failed = body_failed;
        }
        if (failed) {
            co_await refuse(failed, parser.get());
            co_return false;
        }
        auto raw = parser.release();
        const bool keep_alive = raw.keep_alive() && !draining_;
        auto request = to_request(std::move(raw), peer_);
        const bool head = request.method == "HEAD";
        const auto id = request.request_id;
        deadline_ = std::chrono::steady_clock::time_point::max();  // the service has its own
        const auto reply = co_await handle(service_, std::move(request));
        const auto out = written(reply, keep_alive, head, id);
        limit(service_.body_limit);
        const auto [lost, sent] = co_await asio::async_write(stream_, asio::buffer(out), as_value);
        if (buffer_.size() == 0) {
            buffer_ = beast::flat_buffer{};  // an idle connection keeps no memory of the last request
        }
        co_return !lost && keep_alive;
    }

    static bool equals_continue(const RawRequest& raw) {
        return beast::iequals(raw[bhttp::field::expect], "100-continue");
    }

    asio::awaitable<void> say_continue() {
        static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(stream_, asio::buffer(go_on), as_value);
    }

    asio::awaitable<void> refuse(boost::system::error_code failed, const RawRequest& raw) {
        const auto error = reading_problem(failed);
        if (!error) {
            co_return;
        }
        const auto id = request_id_of(raw);
        const auto out = written(problem(*error, id), false, false, id);
        limit(service_.header_limit);
        co_await asio::async_write(stream_, asio::buffer(out), as_value);
        co_await drain();
    }

    // Takes in a little of what the client still sends, so that it reads the answer rather than a reset.
    asio::awaitable<void> drain() {
        if constexpr (is_socket) {
            boost::system::error_code ignored;
            stream_.shutdown(asio::socket_base::shutdown_send, ignored);
            limit(std::chrono::milliseconds{1000});
            buffer_ = beast::flat_buffer{};
            for (std::size_t taken = 0; taken < (1U << 20);) {
                const auto [failed, count] =
                    co_await stream_.async_read_some(buffer_.prepare(16384), as_value);
                if (failed) {
                    break;
                }
                taken += count;
            }
        }
    }

    asio::awaitable<void> close() {
        if constexpr (is_socket) {
            boost::system::error_code ignored;
            stream_.shutdown(asio::socket_base::shutdown_both, ignored);
            stream_.close(ignored);
        }
        co_return;
    }

    Stream stream_;
    Service& service_;
    std::string peer_;
    const std::atomic<bool>& draining_;
    beast::flat_buffer buffer_;
    std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
    bool idle_ = false;
};

}  // namespace vmm::http
