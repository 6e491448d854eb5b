#include "vmm/daemon/daemon.h"

#include "vmm/app/application.h"
#include "vmm/base/text.h"
#include "vmm/crypto/signatures.h"
#include "vmm/formnet/mesh.h"
#include "vmm/host/host.h"
#include "vmm/http/server.h"
#include "vmm/images/store.h"
#include "vmm/network/host_network.h"
#include "vmm/qemu/hypervisor.h"
#include "vmm/seed/seeds.h"
#include "vmm/sqlite/store.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <spdlog/spdlog.h>

#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <ctime>
#include <functional>
#include <optional>
#include <thread>

#include "identity.h"
#include "logging.h"
#include "settings_from.h"
#include "wait_for.h"

namespace vmm::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto drain_limit = 10s;
constexpr auto housekeeping_every = 60s;

Result<void> make_folder(const Config& config, std::string_view key) {
    const fs::path folder = config.text(key);
    std::error_code failed;
    fs::create_directories(folder, failed);
    if (failed || ::access(folder.c_str(), W_OK | X_OK) != 0) {
        return fail(
            Code::unavailable,
            std::string{key} + " " + folder.string() + " cannot be written: " +
                (failed ? failed : std::error_code{errno, std::generic_category()}).message()
        );
    }
    return {};
}

std::int64_t wall_clock_ns() {
    timespec time{};
    clock_gettime(CLOCK_REALTIME, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// Runs one task of the start-up on the application's loop.
template <class T>
Result<T> complete(asio::io_context& loop, Task<T> task) {
    std::optional<Result<T>> outcome;
    asio::co_spawn(loop, std::move(task), [&outcome](const std::exception_ptr& thrown, Result<T> result) {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
        outcome = std::move(result);
    });
    loop.restart();
    while (!outcome && loop.run_one() > 0) {
    }
    return *std::move(outcome);
}

// The parts of the running service, made in the order in which they need each other.
class Daemon {
public:
    Daemon(const Config& config, app::Settings settings, std::unique_ptr<ports::Signatures> signatures)
        : config_{config}, settings_{std::move(settings)}, signatures_{std::move(signatures)} {}

    Result<void> start() {
        TRY(const auto file, state_file(config_));
        TRY(store_, sqlite::open(file));
        CHECK(make_folder(config_, "vm_dir"));
        CHECK(make_folder(config_, "images_dir"));
        TRY(const auto identity, complete(loop_, load_identity(*store_)));
        CHECK(claim_folder(config_.text("vm_dir"), identity.store));
        settings_.node_id = identity.node;
        settings_.secret = identity.secret;
        identity_key_ = identity.key;
        TRY(server_, http::bind_server(server_settings()));
        auto guests_port = server_->port();
        if (encrypted()) {
            TRY(guests_, http::bind_server(guest_settings()));
            guests_port = guests_->port();
        }
        TRY(auto image_wishes, image_settings(config_, identity.store, *signatures_));
        TRY(images_, images::create_image_store(loop_.get_executor(), image_wishes, *signatures_));
        disks_ = images::create_disk_store(image_wishes);
        network_ =
            network::create_host_network(loop_.get_executor(), network_settings(config_, identity.store));
        const auto machines = qemu_settings(config_, guests_port);
        settings_.callback_url = machines.callback_url;
        hypervisor_ = qemu::create_hypervisor(loop_.get_executor(), machines);
        wire_up();
        CHECK(complete(loop_, app_->load()));
        server_->start(*service_);
        if (guests_) {
            guests_->start(*guest_service_);
        }
        spdlog::info(
            "listening host={} port={} version={} machines={} vm_dir={} images_dir={}",
            config_.text("api_host"),
            server_->port(),
            version(),
            app_->registry.size(),
            config_.text("vm_dir"),
            config_.text("images_dir")
        );
        return {};
    }

    // Until a signal says so.
    void serve() {
        asio::signal_set stop{loop_, SIGTERM, SIGINT};
        asio::signal_set reopen{loop_, SIGHUP};
        bool stopping = false;
        stop.async_wait([&stopping](const boost::system::error_code&, int signal) {
            spdlog::info("stopping signal={}; machines keep running", signal);
            stopping = true;
        });
        std::function<void()> await_reopen = [&] {
            reopen.async_wait([&](const boost::system::error_code& failed, int) {
                if (!failed) {
                    reopen_log();
                    spdlog::info("log opened anew");
                    reload_certificate();
                    await_reopen();
                }
            });
        };
        await_reopen();
        asio::co_spawn(loop_, app_->guests.watch(), [](const std::exception_ptr&) {});
        asio::co_spawn(loop_, keep_house(), [](const std::exception_ptr&) {});
        loop_.restart();
        while (!stopping && loop_.run_one() > 0) {
        }
        finish();
    }

private:
    void reload_certificate() {
        if (config_.text("tls_cert").empty()) {
            return;
        }
        if (const auto loaded = server_->reload_certificate(); loaded) {
            spdlog::info("certificate read anew file={}", config_.text("tls_cert"));
        } else {
            spdlog::error("the certificate stays as it was error=\"{}\"", loaded.error().message());
        }
    }

    [[nodiscard]] bool encrypted() const { return !config_.text("tls_cert").empty(); }

    // Guests call back without TLS, from their own network alone, and find nothing else there.
    http::ServerSettings guest_settings() const {
        http::ServerSettings settings;
        settings.host = "127.0.0.1";
        const auto port = config_.integer("guest_port");
        const bool any = config_.integer("api_port") == 0;
        settings.port = static_cast<std::uint16_t>(port != 0 ? port : any ? 0 : server_->port() + 1);
        settings.workers = 1;
        settings.max_connections = 1024;
        return settings;
    }

    http::ServerSettings server_settings() const {
        http::ServerSettings settings;
        settings.host = config_.text("api_host");
        settings.port = static_cast<std::uint16_t>(config_.integer("api_port"));
        settings.workers = static_cast<unsigned>(config_.integer("api_workers"));
        settings.max_connections = static_cast<std::size_t>(config_.integer("api_max_connections"));
        settings.max_connections_per_source =
            static_cast<std::size_t>(config_.integer("api_max_connections_per_source"));
        settings.tls = {config_.text("tls_cert"), config_.text("tls_key"), config_.text("tls_client_ca")};
        return settings;
    }

    void wire_up() {
        host_ = host::create_host();
        mesh_ = formnet::create_mesh(config_.text("formnet_endpoint"));
        const app::Ports outside{
            *store_, *hypervisor_, *images_, *disks_, *host_, *signatures_, *network_, *seeds_, *mesh_
        };
        app_ = std::make_unique<app::Application>(settings_, outside, loop_.get_executor(), &http::present);
        const auto signer = crypto::Signer::from_bytes(identity_key_);
        app_->ledger.service = {
            std::string{signer->address().text()},
            [signer = *signer](std::string_view message) { return signer.sign(message); }
        };
        app_->world.render = &http::render;
        app_->networks.serve_metadata = [this] { return serve_metadata(); };
        app_->images.render = &http::render_image;
        service_ = std::make_unique<http::Service>(*app_, loop_.get_executor());
        service_->version = version();
        service_->request_timeout = std::chrono::seconds{config_.integer("api_request_timeout")};
        service_->max_body_bytes = static_cast<std::size_t>(config_.integer("api_max_body_size"));
        service_->clock_ns = &wall_clock_ns;
        service_->sign_in = sign_in_rules(config_, server_->port());
        service_->cors_origins = config_.list("cors_origins");
        service_->encrypted = encrypted();
        service_->legacy_auth = config_.flag("legacy_auth");
        if (guests_) {
            guest_service_ = std::make_unique<http::Service>(*app_, loop_.get_executor());
            guest_service_->guests_only = true;
            guest_service_->clock_ns = &wall_clock_ns;
        }
        service_->limits = std::make_unique<http::Limits>(
            rate_of(config_, "rate_limit_source"),
            rate_of(config_, "rate_limit_failures"),
            rate_of(config_, "rate_limit_address")
        );
        service_->trusted_proxies = *trusted_proxies(config_);
    }

    asio::awaitable<void> keep_house() {
        while (true) {
            co_await pause_for(housekeeping_every);
            co_await app_->keep_house();
        }
    }

    void finish() {
        // The loop goes on while requests end, as they need it.
        std::thread stopping{[this] {
            server_->stop(drain_limit);
            if (guests_) {
                guests_->stop(drain_limit);
            }
            if (metadata_) {
                metadata_->stop(drain_limit);
            }
            asio::post(loop_, [this] { stopped_ = true; });
        }};
        while (!stopped_ && loop_.run_one() > 0) {
        }
        stopping.join();
        (void)complete(loop_, drain_jobs());
        spdlog::info("stopped");
        spdlog::shutdown();
    }

    // Where guests in networks of the host's ask who they are; the firewall leads them here.
    Result<std::uint16_t> serve_metadata() {
        if (metadata_) {
            return metadata_->port();
        }
        http::ServerSettings settings;
        settings.host = "127.0.0.1";
        settings.port = 0;
        settings.workers = 1;
        settings.max_connections = 1024;
        settings.max_connections_per_source = 32;
        TRY(metadata_, http::bind_server(settings));
        metadata_service_ = std::make_unique<http::Service>(*app_, loop_.get_executor());
        metadata_service_->metadata = true;
        metadata_service_->clock_ns = &wall_clock_ns;
        // A guest that floods it is slowed down, and nobody else is.
        const http::Rate none{};
        metadata_service_->limits = std::make_unique<http::Limits>(http::Rate{100, 200}, none, none);
        metadata_->start(*metadata_service_);
        return metadata_->port();
    }

    Task<void> drain_jobs() {
        app_->world.stopping = true;
        if (!co_await app_->jobs.drained(drain_limit)) {
            spdlog::warn("jobs are left for the next start jobs={}", app_->jobs.running());
        }
        co_return Result<void>{};
    }

    const Config& config_;
    app::Settings settings_;
    std::array<std::uint8_t, 32> identity_key_{};
    std::unique_ptr<ports::Signatures> signatures_;
    std::unique_ptr<ports::StateStore> store_;
    asio::io_context loop_{1};
    std::unique_ptr<ports::ImageStore> images_;
    std::unique_ptr<ports::DiskStore> disks_;
    std::unique_ptr<ports::Hypervisor> hypervisor_;
    std::unique_ptr<ports::HostNetwork> network_;
    std::unique_ptr<ports::Mesh> mesh_;
    std::unique_ptr<ports::Seeds> seeds_ = seed::create_seeds();
    std::unique_ptr<ports::Host> host_;
    std::unique_ptr<app::Application> app_;
    std::unique_ptr<http::Service> service_;
    std::unique_ptr<http::Service> guest_service_;
    std::unique_ptr<http::Server> server_;
    std::unique_ptr<http::Server> guests_;
    std::unique_ptr<http::Service> metadata_service_;
    std::unique_ptr<http::Server> metadata_;
    bool stopped_ = false;
};

}  // namespace

std::string_view version() {
    return VMM_VERSION;
}

Result<void> check(const Config& config) {
    CHECK(state_file(config));
    const auto signatures = crypto::create_signatures();
    CHECK(app_settings(config, *signatures));
    CHECK(trusted_proxies(config));
    CHECK(check_edge(config));
    boost::system::error_code failed;
    (void)asio::ip::make_address(config.text("api_host"), failed);
    if (failed) {
        return invalid("api_host", "api_host must be an IP address, found " + quote(config.text("api_host")));
    }
    return {};
}

Result<void> run(const Config& config) {
    CHECK(check(config));
    ::umask(077);
    raise_descriptor_limit();
    // A heap for each of a handful of threads would only hold memory.
    mallopt(M_ARENA_MAX, 2);
    std::signal(SIGPIPE, SIG_IGN);
    CHECK(start_logging(config));
    CHECK(wait_for(config.list("wait_for"), std::chrono::seconds{config.integer("wait_for_timeout")}));
    auto signatures = crypto::create_signatures();
    TRY(auto settings, app_settings(config, *signatures));
    Daemon daemon{config, std::move(settings), std::move(signatures)};
    CHECK(daemon.start());
    daemon.serve();
    return {};
}

}  // namespace vmm::daemon
