#include "vmm/http/server.h"

#include "vmm/base/time.h"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <spdlog/spdlog.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <unordered_map>

#include "session.h"

namespace vmm::http {

// The date of now as HTTP writes it, remade once a second.
static const std::string& http_date() {
    thread_local std::string text;
    thread_local std::int64_t second = -1;
    const auto at = now().ms / 1000;
    if (at != second) {
        second = at;
        const std::time_t time = static_cast<std::time_t>(at);
        std::tm parts{};
        gmtime_r(&time, &parts);
        char line[64];
        text.assign(line, std::strftime(line, sizeof line, "%a, %d %b %Y %H:%M:%S GMT", &parts));
    }
    return text;
}

std::string request_id_of(const bhttp::request_header<>& raw) {
    const auto given = raw["X-Request-Id"];
    const bool sane = !given.empty() && given.size() <= 64 && std::ranges::all_of(given, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
               c == '_' || c == '.';
    });
    return sane ? std::string{given} : new_id("req");
}

Request to_request(RawRequest raw, const std::string& peer) {
    Request request;
    request.method = raw.method_string();
    request.target = raw.target();
    request.request_id = request_id_of(raw);
    request.headers.reserve(12);
    for (const auto& field : raw) {
        std::string name{field.name_string()};
        std::ranges::transform(name, name.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        const auto same =
            std::ranges::find(request.headers, name, &std::pair<std::string, std::string>::first);
        if (same == request.headers.end()) {
            request.headers.emplace_back(std::move(name), std::string{field.value()});
        } else {
            same->second.append(", ").append(field.value());
        }
    }
    request.upgrade = beast::websocket::is_upgrade(raw);
    request.body = std::move(raw.body());
    request.peer = peer;
    return request;
}

std::string written(const Reply& reply, bool keep_alive, bool head, const std::string& request_id) {
    const bool bodiless = reply.status == 204 || reply.status == 304;
    std::string out;
    out.reserve(reply.body.size() + 512);
    out.append("HTTP/1.1 ").append(std::to_string(reply.status)).append(" ").append(title(reply.status));
    const auto add = [&out](std::string_view name, std::string_view value) {
        out.append("\r\n").append(name).append(": ").append(value);
    };
    add("Server", "vmm-service");
    add("Date", http_date());
    add("X-Request-Id", request_id);
    for (const auto& [name, value] : reply.headers) {
        add(name, value);
    }
    if (!bodiless) {
        add("Content-Type", reply.content_type);
        if (reply.pieces) {
            add("Transfer-Encoding", "chunked");
        } else {
            add("Content-Length", std::to_string(reply.file ? reply.file->bytes : reply.body.size()));
        }
    }
    if (!keep_alive) {
        add("Connection", "close");
    }
    out.append("\r\n\r\n");
    return bodiless || head || reply.file || reply.pieces ? out : out.append(reply.body);
}

std::optional<Error> reading_problem(const boost::system::error_code& failed) {
    if (failed == bhttp::error::body_limit) {
        return Error{Code::too_large, "the body is larger than api_max_body_size"};
    }
    if (failed == bhttp::error::header_limit || failed == bhttp::error::buffer_overflow) {
        return Error{Code::headers_too_large, "the request line and headers are larger than 16 KiB"};
    }
    if (failed == bhttp::error::end_of_stream || failed == bhttp::error::partial_message) {
        return std::nullopt;
    }
    if (failed.category() == bhttp::make_error_code(bhttp::error::end_of_stream).category()) {
        return Error{Code::malformed, "the request is no HTTP/1.1: " + failed.message()}.with_slug("bad-http"
        );
    }
    return std::nullopt;
}

namespace {

// Tries, not a time: a host that stands still holds up the child, too.
constexpr int port_tries = 300;
constexpr std::chrono::milliseconds port_pause{10};

using tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;
using Encrypted = asio::ssl::stream<Socket>;

// The certificate in force; replaced as a whole while connections that began with the old one go on.
class Certificate {
public:
    [[nodiscard]] std::shared_ptr<asio::ssl::context> current() const {
        const std::lock_guard lock{mutex_};
        return current_;
    }

    Result<void> load(const TlsSettings& settings) {
        using asio::ssl::context;
        auto fresh = std::make_shared<context>(context::tls_server);
        boost::system::error_code failed;
        fresh->set_options(
            context::default_workarounds | context::no_tlsv1 | context::no_tlsv1_1 | context::no_compression,
            failed
        );
        const auto cannot = [&failed](std::string_view key, const std::string& file) {
            return fail(Error{
                Code::unavailable, std::string{key} + " " + file + " cannot be used: " + failed.message()
            }
                            .with_field(key));
        };
        if (fresh->use_certificate_chain_file(settings.certificate, failed), failed) {
            return cannot("tls_cert", settings.certificate);
        }
        if (fresh->use_private_key_file(settings.key, context::pem, failed), failed) {
            return cannot("tls_key", settings.key);
        }
        if (SSL_CTX_check_private_key(fresh->native_handle()) != 1) {
            return fail(Error{Code::unavailable, "tls_key " + settings.key + " is not the key of tls_cert"}
                            .with_field("tls_key"));
        }
        if (!settings.client_ca.empty()) {
            if (fresh->load_verify_file(settings.client_ca, failed), failed) {
                return cannot("tls_client_ca", settings.client_ca);
            }
            fresh->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert, failed);
        }
        const std::lock_guard lock{mutex_};
        current_ = std::move(fresh);
        return {};
    }

private:
    mutable std::mutex mutex_;
    std::shared_ptr<asio::ssl::context> current_;
};

// How many connections each source has.
class Sources {
public:
    explicit Sources(std::size_t most) : most_{most} {}

    bool enter(const std::string& source) {
        if (most_ == 0) {
            return true;
        }
        const std::lock_guard lock{mutex_};
        auto& count = counts_[source];
        if (count == most_) {
            return false;
        }
        ++count;
        return true;
    }

    void leave(const std::string& source) {
        if (most_ == 0) {
            return;
        }
        const std::lock_guard lock{mutex_};
        const auto place = counts_.find(source);
        if (place != counts_.end() && --place->second == 0) {
            counts_.erase(place);
        }
    }

private:
    std::size_t most_;
    std::mutex mutex_;
    std::unordered_map<std::string, std::size_t> counts_;
};

// One thread with its loop, its listening socket and its connections.
class Worker {
public:
    Worker(std::size_t max_connections, const Certificate& certificate, Sources& sources)
        : max_connections_{max_connections}, certificate_{certificate}, sources_{sources} {}

    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    ~Worker() {
        loop_.stop();
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    Result<std::uint16_t> listen(const tcp::endpoint& endpoint) {
        boost::system::error_code failed;
        acceptor_.open(endpoint.protocol(), failed);
        using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
        if (!failed) {
            acceptor_.set_option(ReusePort{true}, failed);
        }
        if (!failed) {
            acceptor_.set_option(tcp::acceptor::reuse_address{true}, failed);
        }
        if (!failed) {
            acceptor_.bind(endpoint, failed);
        }
        if (!failed) {
            acceptor_.listen(1024, failed);
        }
        if (failed) {
            return fail(Error{
                Code::unavailable,
                "cannot listen on " + endpoint.address().to_string() + ":" + std::to_string(endpoint.port()) +
                    ": " + failed.message()
            }
                            .with_slug("port-in-use"));
        }
        return acceptor_.local_endpoint().port();
    }

    void start(Service& service) {
        service_ = &service;
        asio::co_spawn(loop_, accept(), asio::detached);
        asio::co_spawn(loop_, watch(), asio::detached);
        thread_ = std::thread{[this] { loop_.run(); }};
    }

    void drain() {
        draining_ = true;
        asio::post(loop_, [this] {
            boost::system::error_code ignored;
            acceptor_.close(ignored);
            for (auto* session : sessions_) {
                if (session->idle()) {
                    session->cancel();
                }
            }
        });
    }

    [[nodiscard]] std::size_t connections() const { return connections_; }

private:
    asio::awaitable<void> accept() {
        while (!draining_) {
            Socket socket{loop_};
            auto [failed] = co_await acceptor_.async_accept(socket, as_value);
            if (failed == asio::error::operation_aborted) {
                break;
            }
            if (failed) {
                // Out of descriptors, most likely: those who wait get a place when others leave.
                spdlog::warn("cannot accept a connection error=\"{}\"", failed.message());
                co_await pause_for(std::chrono::milliseconds{50});
                continue;
            }
            if (connections_ >= max_connections_) {
                continue;  // closed with the socket
            }
            socket.set_option(tcp::no_delay{true}, failed);
            ++connections_;
            asio::co_spawn(loop_, serve(std::move(socket)), asio::detached);
        }
    }

    // Ends what takes too long. One look at all sessions every so often costs less than a timer for each wait
    // of each.
    asio::awaitable<void> watch() {
        while (true) {
            co_await pause_for(std::chrono::milliseconds{250});
            const auto at = std::chrono::steady_clock::now();
            for (auto* session : sessions_) {
                if (session->overdue(at)) {
                    session->end();
                }
            }
        }
    }

    asio::awaitable<void> serve(Socket socket) {
        boost::system::error_code failed;
        const auto remote = socket.remote_endpoint(failed);
        const auto peer = failed ? std::string{"-"} : remote.address().to_string();
        const auto source = source_of(peer);
        // A trusted proxy brings the connections of many.
        const bool proxy =
            !failed && std::ranges::any_of(service_->trusted_proxies, [&](const Network& network) {
                return network.contains(remote.address());
            });
        if (proxy || sources_.enter(source)) {
            if (const auto certificate = certificate_.current()) {
                Encrypted stream{std::move(socket), *certificate};
                co_await serve_stream(std::move(stream), peer);
            } else {
                co_await serve_stream(std::move(socket), peer);
            }
            if (!proxy) {
                sources_.leave(source);
            }
        }
        --connections_;
    }

    template <class Stream>
    asio::awaitable<void> serve_stream(Stream stream, std::string peer) {
        Session<Stream> session{std::move(stream), *service_, std::move(peer), draining_};
        sessions_.insert(&session);
        try {
            co_await session.run();
        } catch (const std::exception& e) {
            spdlog::error("a connection ended with an exception what=\"{}\"", e.what());
        }
        sessions_.erase(&session);
    }

    Service* service_ = nullptr;  // set before the thread runs
    std::size_t max_connections_;
    asio::io_context loop_{1};
    tcp::acceptor acceptor_{loop_};
    const Certificate& certificate_;
    Sources& sources_;
    std::set<Connection*> sessions_;
    std::atomic<std::size_t> connections_{0};
    std::atomic<bool> draining_{false};
    std::thread thread_;
};

// Waits a little for a service that was killed: its last child has its port, too, until it runs its program.
boost::system::error_code bind_patiently(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
    boost::system::error_code failed;
    acceptor.bind(endpoint, failed);
    for (int tries = 1; failed == asio::error::address_in_use && tries < port_tries; ++tries) {
        std::this_thread::sleep_for(port_pause);
        acceptor.bind(endpoint, failed);
    }
    return failed;
}

class RealServer final : public Server {
public:
    Result<void> bind(const ServerSettings& settings) {
        tls_ = settings.tls;
        CHECK(reload_certificate());
        sources_ = std::make_unique<Sources>(settings.max_connections_per_source);
        boost::system::error_code failed;
        const auto address = asio::ip::make_address(settings.host, failed);
        if (failed) {
            return fail(Code::unavailable, "api_host is no IP address: " + settings.host);
        }
        // Two services must not share a port by accident, which SO_REUSEPORT would let them.
        asio::io_context probe_loop;
        tcp::acceptor probe{probe_loop};
        probe.open(tcp::endpoint{address, settings.port}.protocol(), failed);
        probe.set_option(tcp::acceptor::reuse_address{true}, failed);
        failed = bind_patiently(probe, {address, settings.port});
        if (failed) {
            return fail(Error{
                Code::unavailable,
                "cannot listen on " + settings.host + ":" + std::to_string(settings.port) + ": " +
                    failed.message()
            }
                            .with_slug("port-in-use")
                            .with_hint("stop what listens there, or choose another api_port"));
        }
        port_ = probe.local_endpoint().port();
        probe.close(failed);
        for (unsigned i = 0; i < settings.workers; ++i) {
            workers_.push_back(
                std::make_unique<Worker>(settings.max_connections / settings.workers, certificate_, *sources_)
            );
            TRY(port_, workers_.back()->listen({address, port_}));
        }
        return {};
    }

    void start(Service& service) override {
        for (const auto& worker : workers_) {
            worker->start(service);
        }
    }

    [[nodiscard]] std::uint16_t port() const override { return port_; }

    Result<void> reload_certificate() override {
        return tls_.certificate.empty() ? Result<void>{} : certificate_.load(tls_);
    }

    void stop(std::chrono::milliseconds limit) override {
        for (const auto& worker : workers_) {
            worker->drain();
        }
        const auto until = std::chrono::steady_clock::now() + limit;
        const auto busy = [this] {
            return std::ranges::any_of(workers_, [](const auto& worker) {
                return worker->connections() > 0;
            });
        };
        while (busy() && std::chrono::steady_clock::now() < until) {
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
        workers_.clear();
    }

private:
    TlsSettings tls_;
    Certificate certificate_;
    std::unique_ptr<Sources> sources_;
    std::uint16_t port_ = 0;
    std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

Result<std::unique_ptr<Server>> bind_server(const ServerSettings& settings) {
    auto server = std::make_unique<RealServer>();
    CHECK(server->bind(settings));
    return server;
}

}  // namespace vmm::http
