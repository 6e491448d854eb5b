#include "vmm/fetch/client.h"

#include "vmm/base/text.h"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include <array>
#include <memory>

#include "connection.h"
#include "tls.h"

namespace vmm::fetch {
namespace {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;

constexpr std::uint64_t largest_answer = 64ULL << 20;

using Head = bhttp::response_parser<bhttp::empty_body>;

// The body as it comes.
template <class Stream>
Task<Response> pieces(
    Stream& stream,
    Origin origin,
    beast::flat_buffer& buffer,
    std::unique_ptr<Head> head,
    std::chrono::milliseconds limit,
    Piece piece
) {
    bhttp::response_parser<bhttp::buffer_body> parser{std::move(*head)};
    parser.body_limit(boost::none);
    std::array<char, 65536> block{};
    while (!parser.is_done()) {
        parser.get().body().data = block.data();
        parser.get().body().size = block.size();
        beast::get_lowest_layer(stream).expires_after(limit);
        const auto [failed, count] = co_await bhttp::async_read_some(stream, buffer, parser, as_value);
        const auto got = block.size() - parser.get().body().size;
        if (got > 0) {
            piece({block.data(), got});
        }
        if (failed && failed != bhttp::error::need_buffer) {
            co_return unreachable(origin, failed);
        }
    }
    Response response;
    response.status = static_cast<int>(parser.get().result_int());
    co_return response;
}

template <class Stream>
Task<Response>
converse(Stream& stream, Origin origin, Request request, std::chrono::milliseconds limit, Piece piece) {
    bhttp::request<bhttp::string_body> raw{bhttp::verb::get, request.target, 11};
    raw.method_string(request.method);
    raw.set(bhttp::field::host, origin.host + ":" + std::to_string(origin.port));
    raw.set(bhttp::field::connection, "close");
    for (const auto& [name, value] : request.headers) {
        raw.set(name, value);
    }
    raw.body() = std::move(request.body);
    if (!raw.body().empty() || request.method == "POST") {
        raw.content_length(raw.body().size());
    }
    const auto [lost, sent] = co_await bhttp::async_write(stream, raw, as_value);
    if (lost) {
        co_return unreachable(origin, lost);
    }
    beast::flat_buffer buffer;
    auto head = std::make_unique<Head>();
    head->body_limit(boost::none);
    const auto [headless, count] = co_await bhttp::async_read_header(stream, buffer, *head, as_value);
    if (headless) {
        co_return unreachable(origin, headless);
    }
    if (piece && head->get().result_int() / 100 == 2) {
        co_return co_await pieces(
            stream, std::move(origin), buffer, std::move(head), limit, std::move(piece)
        );
    }
    bhttp::response_parser<bhttp::string_body> parser{std::move(*head)};
    parser.body_limit(largest_answer);
    const auto [broken, received] = co_await bhttp::async_read(stream, buffer, parser, as_value);
    if (broken) {
        co_return unreachable(origin, broken);
    }
    co_return taken(parser.release());
}

}  // namespace

Result<Origin> parse_origin(std::string_view url) {
    const auto parsed = boost::urls::parse_uri(url);
    if (!parsed || (parsed->scheme() != "http" && parsed->scheme() != "https") || parsed->host().empty() ||
        (!parsed->path().empty() && parsed->path() != "/")) {
        return invalid("url", "expected http://host[:port] or https://host[:port], found " + quote(url));
    }
    Origin origin;
    origin.secure = parsed->scheme() == "https";
    origin.port = origin.secure ? 443 : 80;
    origin.host = parsed->host_address();
    if (parsed->has_port()) {
        const auto port = parse_number<std::uint16_t>(std::string{parsed->port()});
        if (!port) {
            return invalid("url", "the port of " + quote(url) + " is not one");
        }
        origin.port = *port;
    }
    return origin;
}

Task<Response> exchange(Origin origin, Request request, std::chrono::milliseconds limit, Piece piece) {
    const auto executor = co_await asio::this_coro::executor;
    if (!origin.secure) {
        beast::tcp_stream stream{executor};
        stream.expires_after(limit);
        CO_CHECK(co_await connect(stream, origin));
        co_return co_await converse(stream, origin, std::move(request), limit, std::move(piece));
    }
    CO_TRY(const auto context, tls_context(origin.ca_file));
    Encrypted stream{executor, *context};
    stream.next_layer().expires_after(limit);
    CO_CHECK(co_await connect(stream.next_layer(), origin));
    if (const auto failed = co_await shake_hands(stream, origin.host)) {
        co_return unreachable(origin, failed);
    }
    co_return co_await converse(stream, origin, std::move(request), limit, std::move(piece));
}

}  // namespace vmm::fetch
