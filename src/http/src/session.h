#pragma once

#include "vmm/base/ids.h"
#include "vmm/http/status.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <sys/sendfile.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>

#include "connection.h"
#include "reply.h"
#include "request.h"
#include "web_socket.h"

// One HTTP/1.1 connection. A template, so that the fuzzer can run it on a stream in memory.
namespace vmm::http {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

using RawRequest = bhttp::request<bhttp::string_body>;

// A sane X-Request-Id of the client's, or a new one.
std::string request_id_of(const bhttp::request_header<>& raw);
Request to_request(RawRequest raw, const std::string& peer);
// The answer as it goes over the wire; of a HEAD without its body.
std::string written(const Reply& reply, bool keep_alive, bool head, const std::string& request_id);

// The problem that answers a message which cannot be read; nothing when the connection just ended.
std::optional<Error> reading_problem(const boost::system::error_code& failed);

template <class Stream>
class Session final : public Connection {
public:
    Session(Stream stream, Service& service, std::string peer, const std::atomic<bool>& draining)
        : stream_{std::move(stream)}, service_{service}, peer_{std::move(peer)}, draining_{draining} {}

    asio::awaitable<void> run() {
        if (!co_await open()) {
            co_return;
        }
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

    [[nodiscard]] bool idle() const override { return idle_; }

    [[nodiscard]] bool overdue(std::chrono::steady_clock::time_point at) const override {
        return at > deadline_;
    }

    void cancel() override {
        if constexpr (is_socket || is_encrypted) {
            boost::system::error_code ignored;
            socket().cancel(ignored);
        }
    }

    void end() override {
        if constexpr (is_socket || is_encrypted) {
            boost::system::error_code ignored;
            socket().close(ignored);
        }
    }

private:
    using HeadParser = bhttp::request_parser<bhttp::empty_body>;

    class Reader final : public BodyReader {
    public:
        Reader(Session& session, HeadParser& head, bool asked)
            : session_{session}, parser_{std::move(head)}, asked_{asked} {
            parser_.body_limit(boost::none);
        }

        [[nodiscard]] auto& parser() { return parser_; }

        [[nodiscard]] bool finished() const { return parser_.is_done(); }

        [[nodiscard]] std::optional<std::uint64_t> length() const override {
            const auto length = parser_.content_length();
            return length ? std::optional<std::uint64_t>{*length} : std::nullopt;
        }

        Task<std::size_t> read(char* to, std::size_t bytes) override {
            if (std::exchange(asked_, false)) {
                co_await session_.say_continue();
            }
            if (parser_.is_done()) {
                co_return std::size_t{0};
            }
            if (session_.draining_) {
                co_return fail(Error{Code::unavailable, "the service is stopping"}.with_slug("body-cut-off"));
            }
            parser_.get().body().data = to;
            parser_.get().body().size = bytes;
            session_.limit(session_.service_.body_limit);
            const auto [failed, count] =
                co_await bhttp::async_read(session_.stream_, session_.buffer_, parser_, as_value);
            session_.deadline_ = std::chrono::steady_clock::time_point::max();
            if (failed && failed != bhttp::error::need_buffer) {
                co_return fail(Error{Code::malformed, "the body broke off"}.with_slug("body-cut-off"));
            }
            co_return bytes - parser_.get().body().size;
        }

    private:
        Session& session_;
        bhttp::request_parser<bhttp::buffer_body> parser_;
        bool asked_;
    };

    static constexpr bool is_socket = requires(Stream& stream, boost::system::error_code& failed) {
        stream.shutdown(asio::socket_base::shutdown_both, failed);
    };

    static constexpr bool is_encrypted = requires { typename Stream::handshake_type; };

    auto& socket() {
        if constexpr (is_encrypted) {
            return stream_.next_layer();
        } else {
            return stream_;
        }
    }

    // The handshake of an encrypted stream.
    asio::awaitable<bool> open() {
        if constexpr (is_encrypted) {
            limit(service_.header_limit);
            const auto [failed] = co_await stream_.async_handshake(Stream::server, as_value);
            co_return !failed;
        }
        co_return true;
    }

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
        HeadParser parser;
        parser.header_limit(static_cast<std::uint32_t>(service_.max_header_bytes));
        parser.body_limit(boost::none);
        limit(service_.header_limit);
        auto [failed, count] = co_await bhttp::async_read_header(stream_, buffer_, parser, as_value);
        if (failed) {
            co_await refuse(failed, parser.get().base());
            co_return false;
        }
        const bool asked = beast::iequals(parser.get()[bhttp::field::expect], "100-continue");
        // The usual body is JSON; only others are worth a look at where they go.
        const bool other = !parser.is_done() &&
                           !beast::iequals(parser.get()[bhttp::field::content_type], "application/json");
        if (other && streams(to_request(RawRequest{parser.get().base()}, peer_))) {
            co_return co_await exchange_streaming(parser, asked);
        }
        co_return co_await exchange_whole(parser, asked);
    }

    asio::awaitable<bool> exchange_whole(HeadParser& head, bool asked) {
        bhttp::request_parser<bhttp::string_body> parser{std::move(head)};
        parser.body_limit(service_.max_body_bytes);
        boost::system::error_code failed;
        if (const auto length = parser.content_length(); length && *length > service_.max_body_bytes) {
            failed = bhttp::error::body_limit;
        } else if (asked) {
            co_await say_continue();
        }
        if (!failed && !parser.is_done()) {
            limit(service_.body_limit);
            const auto [body_failed, body_count] =
                co_await bhttp::async_read(stream_, buffer_, parser, as_value);
            failed = body_failed;
        }
        if (failed) {
            co_await refuse(failed, parser.get().base());
            co_return false;
        }
        auto raw = parser.release();
        const bool keep_alive = raw.keep_alive() && !draining_;
        if (beast::websocket::is_upgrade(raw)) {
            co_return co_await exchange_upgrading(std::move(raw));
        }
        auto request = to_request(std::move(raw), peer_);
        co_return co_await answer(std::move(request), keep_alive);
    }

    // Becomes a WebSocket when the handler says so; the connection ends with it.
    asio::awaitable<bool> exchange_upgrading(RawRequest raw) {
        auto request = to_request(raw, peer_);
        const auto id = request.request_id;
        deadline_ = std::chrono::steady_clock::time_point::max();
        const auto reply = co_await handle(service_, std::move(request));
        if (!reply.upgrade) {
            const auto out = written(reply, false, false, id);
            limit(service_.body_limit);
            co_await asio::async_write(stream_, asio::buffer(out), as_value);
            co_return false;
        }
        WebSocketOver<Stream> socket{stream_};
        // A server that stops does not wait for it.
        idle_ = true;
        if (co_await socket.accept(raw, id)) {
            co_await reply.upgrade(socket);
        }
        idle_ = false;
        co_return false;
    }

    // The body is read by the handler, piece by piece.
    asio::awaitable<bool> exchange_streaming(HeadParser& head, bool asked) {
        Reader reader{*this, head, asked};
        auto& parser = reader.parser();
        auto request = to_request(RawRequest{parser.get().base()}, peer_);
        request.reader = &reader;
        const bool keep_alive = parser.get().keep_alive() && !draining_;
        const bool goes_on = co_await answer(std::move(request), keep_alive, &reader);
        if (!parser.is_done()) {
            co_await drain();
        }
        co_return goes_on&& parser.is_done();
    }

    asio::awaitable<bool> answer(Request request, bool keep_alive, const Reader* reader = nullptr) {
        const bool head = request.method == "HEAD";
        const auto id = request.request_id;
        deadline_ = std::chrono::steady_clock::time_point::max();  // the service has its own
        const auto reply = co_await handle(service_, std::move(request));
        if (reply.hold.count() > 0) {
            co_await pause_for(reply.hold);
            keep_alive = false;
        }
        // A body that was not read to its end leaves the connection where no next request can be found.
        keep_alive = keep_alive && (reader == nullptr || reader->finished());
        const auto out = written(reply, keep_alive, head, id);
        limit(service_.body_limit);
        const auto [lost, sent] = co_await asio::async_write(stream_, asio::buffer(out), as_value);
        bool whole = !lost;
        if (whole && reply.file && !head) {
            whole = co_await send(*reply.file);
        }
        if (whole && reply.pieces && !head) {
            whole = co_await send_pieces(reply);
        }
        if (buffer_.size() == 0) {
            buffer_ = beast::flat_buffer{};  // an idle connection keeps no memory of the last request
        }
        co_return whole&& keep_alive;
    }

    // Chunks (RFC 9112, section 7.1). Without the last one the client knows that it was broken off.
    asio::awaitable<bool> send_pieces(const Reply& reply) {
        while (true) {
            deadline_ = std::chrono::steady_clock::time_point::max();  // the source has its own
            const auto piece = co_await reply.pieces();
            if (!piece || draining_) {
                co_return false;
            }
            std::array<char, 24> size{};
            const auto length = std::snprintf(size.data(), size.size(), "%zx\r\n", piece->size());
            std::string chunk{size.data(), static_cast<std::size_t>(length)};
            chunk.append(*piece).append("\r\n");
            limit(service_.body_limit);
            const auto [lost, sent] = co_await asio::async_write(stream_, asio::buffer(chunk), as_value);
            if (lost) {
                co_return false;
            }
            if (piece->empty()) {
                co_return true;
            }
        }
    }

    asio::awaitable<bool> send(const FilePart& part) {
        if constexpr (is_encrypted) {
            std::string block(256 << 10, '\0');
            for (std::uint64_t sent = 0; sent < part.bytes;) {
                limit(service_.body_limit);
                const auto got = ::pread(
                    part.file.get(),
                    block.data(),
                    std::min<std::uint64_t>(block.size(), part.bytes - sent),
                    static_cast<off_t>(part.offset + sent)
                );
                if (got <= 0) {
                    co_return false;
                }
                const auto [lost, count] = co_await asio::async_write(
                    stream_, asio::buffer(block.data(), static_cast<std::size_t>(got)), as_value
                );
                if (lost) {
                    co_return false;
                }
                sent += count;
            }
        }
        if constexpr (is_socket) {
            boost::system::error_code failed;
            stream_.native_non_blocking(true, failed);
            auto at = static_cast<off_t>(part.offset);
            for (auto left = part.bytes; left > 0;) {
                limit(service_.body_limit);
                const auto sent = ::sendfile(
                    stream_.native_handle(), part.file.get(), &at, std::min<std::uint64_t>(left, 1 << 20)
                );
                if (sent > 0) {
                    left -= static_cast<std::uint64_t>(sent);
                } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
                    co_return false;
                } else if (sent == 0) {
                    co_return false;  // the file became shorter
                }
                // Others of this thread have their turn.
                const auto [lost] = co_await stream_.async_wait(std::decay_t<Stream>::wait_write, as_value);
                if (lost) {
                    co_return false;
                }
            }
        }
        co_return true;
    }

    asio::awaitable<void> say_continue() {
        static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(stream_, asio::buffer(go_on), as_value);
    }

    asio::awaitable<void> refuse(boost::system::error_code failed, const bhttp::request_header<>& raw) {
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

    // Takes in what the client still sends for a moment, so that it reads the answer rather than a reset.
    asio::awaitable<void> drain() {
        if constexpr (is_socket) {
            boost::system::error_code ignored;
            stream_.shutdown(asio::socket_base::shutdown_send, ignored);
            limit(std::chrono::milliseconds{2000});
            buffer_ = beast::flat_buffer{};
            while (true) {
                const auto [failed, count] =
                    co_await stream_.async_read_some(buffer_.prepare(65536), as_value);
                if (failed) {
                    break;
                }
            }
        }
    }

    asio::awaitable<void> close() {
        boost::system::error_code ignored;
        if constexpr (is_encrypted) {
            // Says that this is the end, so that the client knows that nothing was cut off.
            limit(std::chrono::milliseconds{1000});
            co_await stream_.async_shutdown(as_value);
            socket().close(ignored);
        } else if constexpr (is_socket) {
            stream_.shutdown(asio::socket_base::shutdown_both, ignored);
            stream_.close(ignored);
        }
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
