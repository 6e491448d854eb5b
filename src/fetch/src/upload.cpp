#include "vmm/base/text.h"
#include "vmm/fetch/stream.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <unistd.h>

#include <algorithm>
#include <concepts>

#include "connection.h"
#include "tls.h"

namespace vmm::fetch {
namespace {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using tcp = asio::ip::tcp;

constexpr std::size_t piece = 1 << 20;
constexpr auto patience = std::chrono::milliseconds{1000};

std::unexpected<Error> broken(const Origin& origin, const boost::system::error_code& failed) {
    const auto where = origin.host + ":" + std::to_string(origin.port);
    return failed == beast::error::timeout
               ? fail(Code::timed_out, where + " did not answer in time")
               : fail(Error{Code::unavailable, where + ": " + failed.message()}.with_slug(
                     "service-unreachable"
                 ));
}

template <class Stream>
Task<void> send_head(Stream& stream, Origin origin, Upload upload) {
    bhttp::request<bhttp::empty_body> head{bhttp::verb::post, upload.request.target, 11};
    head.method_string(upload.request.method);
    head.set(bhttp::field::host, origin.host + ":" + std::to_string(origin.port));
    head.set(bhttp::field::connection, "close");
    if (!origin.secure) {
        head.set(bhttp::field::expect, "100-continue");
    }
    for (const auto& [name, value] : upload.request.headers) {
        head.set(name, value);
    }
    head.content_length(upload.bytes);
    bhttp::request_serializer<bhttp::empty_body> serializer{head};
    const auto [failed, count] = co_await bhttp::async_write_header(stream, serializer, as_value);
    if (failed) {
        co_return broken(origin, failed);
    }
    co_return Result<void>{};
}

template <class Stream>
Task<void> send_body(Stream& stream, Origin origin, Upload upload, std::chrono::milliseconds idle_limit) {
    std::string block(piece, '\0');
    for (std::uint64_t sent = 0; sent < upload.bytes;) {
        const auto wanted = std::min<std::uint64_t>(piece, upload.bytes - sent);
        const auto got = ::pread(upload.file, block.data(), wanted, static_cast<off_t>(upload.offset + sent));
        if (got <= 0) {
            co_return fail(Code::unavailable, "the file became shorter while it was sent");
        }
        beast::get_lowest_layer(stream).expires_after(idle_limit);
        const auto [failed, count] = co_await asio::async_write(
            stream, asio::buffer(block.data(), static_cast<std::size_t>(got)), as_value
        );
        if (failed) {
            co_return broken(origin, failed);
        }
        sent += count;
        if (upload.progress) {
            upload.progress->done = upload.offset + sent;
        }
    }
    co_return Result<void>{};
}

// Waits for the first bytes of "100 Continue", or of an answer that spares the body: whether there is one.
Task<bool> spared(beast::tcp_stream& stream, beast::flat_buffer& buffer, Origin origin) {
    asio::steady_timer silence{stream.get_executor(), patience};
    // Its handler may be on its way already when the wait is over.
    const auto waits = std::make_shared<bool>(true);
    silence.async_wait([&stream, waits](const boost::system::error_code& stopped) {
        if (!stopped && *waits) {
            stream.socket().cancel();
        }
    });
    std::string peeked(13, '\0');
    boost::system::error_code failed = asio::error::would_block;
    std::size_t count = 0;
    stream.socket().non_blocking(true);
    // A wait may end with nothing there to read.
    while (failed == asio::error::would_block) {
        const auto [waited] = co_await stream.socket().async_wait(tcp::socket::wait_read, as_value);
        if (!waited) {
            count = stream.socket().receive(asio::buffer(peeked), tcp::socket::message_peek, failed);
        }
        const bool silent = failed == asio::error::would_block;
        if (waited || (silent && silence.expiry() <= std::chrono::steady_clock::now())) {
            *waits = false;
            co_return false;
        }
    }
    *waits = false;
    silence.cancel();
    bhttp::response_parser<bhttp::empty_body> interim;
    interim.skip(true);
    if (failed || !std::string_view{peeked}.substr(0, count).contains(" 100")) {
        co_return true;
    }
    const auto [lost, read] = co_await bhttp::async_read_header(stream, buffer, interim, as_value);
    if (lost) {
        co_return broken(origin, lost);
    }
    co_return false;
}

template <class Stream>
Task<Response> send_over(Stream& stream, Origin origin, Upload upload, std::chrono::milliseconds idle_limit) {
    CO_CHECK(co_await send_head(stream, origin, upload));
    beast::flat_buffer buffer;
    bool answered = false;
    if constexpr (std::same_as<Stream, beast::tcp_stream>) {
        stream.expires_after(idle_limit);
        CO_TRY(answered, co_await spared(stream, buffer, origin));
    }
    Result<void> sent;
    if (!answered) {
        sent = co_await send_body(stream, origin, upload, idle_limit);
    }
    // Also when the service closed in the middle: its answer says why.
    beast::get_lowest_layer(stream).expires_after(
        std::max<std::chrono::milliseconds>(idle_limit, std::chrono::minutes{10})
    );
    bhttp::response_parser<bhttp::string_body> parser;
    const auto [lost, received] = co_await bhttp::async_read(stream, buffer, parser, as_value);
    if (lost) {
        co_return sent ? broken(origin, lost) : std::unexpected{sent.error()};
    }
    co_return taken(parser.release());
}

}  // namespace

Task<Response> send_file(Origin origin, Upload upload, std::chrono::milliseconds idle_limit) {
    const auto executor = co_await asio::this_coro::executor;
    if (!origin.secure) {
        beast::tcp_stream stream{executor};
        stream.expires_after(idle_limit);
        CO_CHECK(co_await connect(stream, origin));
        co_return co_await send_over(stream, origin, std::move(upload), idle_limit);
    }
    CO_TRY(const auto context, tls_context(origin.ca_file));
    Encrypted stream{executor, *context};
    stream.next_layer().expires_after(idle_limit);
    CO_CHECK(co_await connect(stream.next_layer(), origin));
    if (const auto failed = co_await shake_hands(stream, origin.host)) {
        co_return broken(origin, failed);
    }
    co_return co_await send_over(stream, origin, std::move(upload), idle_limit);
}

}  // namespace vmm::fetch
