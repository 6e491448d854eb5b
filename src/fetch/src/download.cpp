#include "vmm/base/text.h"
#include "vmm/fetch/stream.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url.hpp>

#include "tls.h"

namespace vmm::fetch {
namespace {

namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
namespace ssl = asio::ssl;
using tcp = asio::ip::tcp;
using Headers = std::vector<std::pair<std::string, std::string>>;

std::string where(const Url& url) {
    return url.host + ":" + std::to_string(url.port);
}

std::unexpected<Error> broken(const Url& url, const boost::system::error_code& failed) {
    if (failed == beast::error::timeout) {
        return fail(Code::timed_out, where(url) + " did not answer in time");
    }
    return fail(Error{Code::unavailable, where(url) + ": " + failed.message()}.with_slug("download-failed"));
}

// One answer over a plain or an encrypted stream.
template <class Stream>
class Open final : public Download {
public:
    Open(Url url, Rules rules, Stream stream)
        : url_{std::move(url)}, rules_{std::move(rules)}, stream_{std::move(stream)} {}

    Stream& stream() { return stream_; }

    Task<void> ask(Headers headers) {
        bhttp::request<bhttp::empty_body> request{bhttp::verb::get, url_.target, 11};
        const bool usual = url_.port == (url_.secure ? 443 : 80);
        request.set(bhttp::field::host, usual ? url_.host : where(url_));
        request.set(bhttp::field::user_agent, "vmm-service");
        request.set(bhttp::field::connection, "close");
        for (const auto& [name, value] : headers) {
            request.set(name, value);
        }
        beast::get_lowest_layer(stream_).expires_after(rules_.idle_limit);
        const auto [lost, sent] = co_await bhttp::async_write(stream_, request, as_value);
        if (lost) {
            co_return broken(url_, lost);
        }
        parser_.body_limit(boost::none);
        parser_.header_limit(64 << 10);
        const auto [failed, got] = co_await bhttp::async_read_header(stream_, buffer_, parser_, as_value);
        if (failed) {
            co_return broken(url_, failed);
        }
        for (const auto& field : parser_.get()) {
            headers_[lower(field.name_string())] = field.value();
        }
        co_return Result<void>{};
    }

    [[nodiscard]] int status() const override { return static_cast<int>(parser_.get().result_int()); }

    [[nodiscard]] const std::map<std::string, std::string>& headers() const override { return headers_; }

    Task<std::size_t> read(char* to, std::size_t bytes) override {
        if (parser_.is_done()) {
            co_return std::size_t{0};
        }
        parser_.get().body().data = to;
        parser_.get().body().size = bytes;
        beast::get_lowest_layer(stream_).expires_after(rules_.idle_limit);
        const auto [failed, count] = co_await bhttp::async_read(stream_, buffer_, parser_, as_value);
        if (failed && failed != bhttp::error::need_buffer) {
            co_return broken(url_, failed);
        }
        co_return bytes - parser_.get().body().size;
    }

private:
    Url url_;
    Rules rules_;
    Stream stream_;
    beast::flat_buffer buffer_{256 << 10};
    bhttp::response_parser<bhttp::buffer_body> parser_;
    std::map<std::string, std::string> headers_;
};

// Connects to an address that the rules admit; the name is looked up once, so that it cannot mean another
// address by the time of the connection.
Task<void> connect(beast::tcp_stream& stream, Url url, Rules rules) {
    tcp::resolver resolver{stream.get_executor()};
    const auto [unknown, places] =
        co_await resolver.async_resolve(url.host, std::to_string(url.port), as_value);
    if (unknown) {
        co_return broken(url, unknown);
    }
    boost::system::error_code last = asio::error::host_not_found;
    bool refused = false;
    for (const auto& place : places) {
        if (rules.admits && !rules.admits(place.endpoint().address())) {
            refused = true;
            continue;
        }
        stream.expires_after(rules.idle_limit);
        const auto [failed] = co_await stream.async_connect(place.endpoint(), as_value);
        if (!failed) {
            co_return Result<void>{};
        }
        refused = false;
        last = failed;
    }
    if (refused) {
        co_return fail(Error{Code::invalid, url.host + " is a loopback or private address"}
                           .with_slug("url-not-public")
                           .with_field("url")
                           .with_hint("the operator may set allow_private_image_urls"));
    }
    co_return broken(url, last);
}

Task<std::unique_ptr<Download>> open_plain(Url url, Headers headers, Rules rules) {
    beast::tcp_stream stream{co_await asio::this_coro::executor};
    CO_CHECK(co_await connect(stream, url, rules));
    auto answer = std::make_unique<Open<beast::tcp_stream>>(url, rules, std::move(stream));
    CO_CHECK(co_await answer->ask(std::move(headers)));
    co_return std::unique_ptr<Download>{std::move(answer)};
}

// Keeps the context as long as the stream that uses it.
struct Secured final : public Download {
    Secured(std::shared_ptr<ssl::context> with, std::unique_ptr<Open<Encrypted>> open)
        : context{std::move(with)}, answer{std::move(open)} {}

    [[nodiscard]] int status() const override { return answer->status(); }

    [[nodiscard]] const std::map<std::string, std::string>& headers() const override {
        return answer->headers();
    }

    Task<std::size_t> read(char* to, std::size_t bytes) override { return answer->read(to, bytes); }

    std::shared_ptr<ssl::context> context;
    std::unique_ptr<Open<Encrypted>> answer;
};

Task<std::unique_ptr<Download>> open_encrypted(Url url, Headers headers, Rules rules) {
    CO_TRY(auto context, tls_context(rules.ca_file.string()));
    Encrypted stream{co_await asio::this_coro::executor, *context};
    CO_CHECK(co_await connect(stream.next_layer(), url, rules));
    stream.next_layer().expires_after(rules.idle_limit);
    if (const auto refused = co_await shake_hands(stream, url.host)) {
        co_return fail(Error{Code::unavailable, where(url) + " cannot be trusted: " + refused.message()}
                           .with_slug("download-failed"));
    }
    auto answer = std::make_unique<Open<Encrypted>>(url, rules, std::move(stream));
    CO_CHECK(co_await answer->ask(std::move(headers)));
    co_return std::unique_ptr<Download>{std::make_unique<Secured>(std::move(context), std::move(answer))};
}

bool redirects(int status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Result<Url> redirected(const Url& from, const std::string& location) {
    const auto base = (from.secure ? "https://" : "http://") +
                      (from.host.contains(':') ? "[" + from.host + "]" : from.host) + ":" +
                      std::to_string(from.port) + from.target;
    const auto reference = boost::urls::parse_uri_reference(location);
    boost::urls::url target;
    if (!reference || !boost::urls::resolve(boost::urls::url_view{base}, *reference, target)) {
        return invalid("url", "it redirects to " + quote(location) + ", which is no url");
    }
    TRY(auto next, parse_url(std::string{target.buffer()}));
    if (from.secure && !next.secure) {
        return invalid("url", "it redirects from https to http");
    }
    return next;
}

}  // namespace

Task<std::unique_ptr<Download>> Download::open(Url url, Headers headers, Rules rules) {
    for (int hop = 0; hop <= rules.most_redirects; ++hop) {
        std::unique_ptr<Download> answer;
        if (url.secure) {
            CO_TRY(answer, co_await open_encrypted(url, headers, rules));
        } else {
            CO_TRY(answer, co_await open_plain(url, headers, rules));
        }
        if (redirects(answer->status())) {
            const auto location = answer->headers().find("location");
            if (location == answer->headers().end()) {
                co_return fail(Code::unavailable, where(url) + " redirects to nowhere");
            }
            CO_TRY(url, redirected(url, location->second));
            continue;
        }
        if (answer->status() >= 500) {
            co_return fail(Error{
                Code::unavailable, where(url) + " answered with status " + std::to_string(answer->status())
            }
                               .with_slug("download-failed"));
        }
        co_return answer;
    }
    co_return invalid("url", "it redirects more than " + std::to_string(rules.most_redirects) + " times");
}

}  // namespace vmm::fetch
