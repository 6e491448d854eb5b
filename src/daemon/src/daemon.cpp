#include "vmm/daemon/daemon.h"

#include "vmm/app/application.h"
#include "vmm/base/text.h"
#include "vmm/crypto/signatures.h"
#include "vmm/host/host.h"
#include "vmm/http/server.h"
#include "vmm/images/store.h"
#include "vmm/qemu/hypervisor.h"
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
#include "wait_for.h"

namespace vmm::daemon {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr std::string_view sqlite_scheme = "sqlite://";
constexpr auto drain_limit = 10s;
constexpr auto housekeeping_every = 60s;

Result<fs::path> state_file(const Config& config) {
    const auto& [url, origin] = config.setting("state_url");
    if (!url.starts_with(sqlite_scheme)) {
        return fail(Error{
            Code::invalid,
            "state_url " + quote(url) + " (" + origin +
                ") is not supported: this version keeps its state in SQLite"
        }
                        .with_field("state_url")
                        .with_hint("set state_url or VMM_STATE_URL to sqlite:///var/lib/formation/state.db, "
                                   "or another absolute path"));
    }
    const fs::path file = url.substr(sqlite_scheme.size());
    if (!file.is_absolute() || !file.has_filename()) {
        return fail(
            Error{Code::invalid, "state_url must be sqlite:// and an absolute path, found " + quote(url)}
                .with_field("state_url")
        );
    }
    return file;
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "node";
}

// Where a guest on QEMU's user network reaches this service.
std::string callback_url(const std::string& host, std::uint16_t port) {
    const auto address = asio::ip::make_address(host);
    const bool everywhere = address.is_unspecified() || address.is_loopback();
    return "http://" + (everywhere ? std::string{"10.0.2.2"} : host) + ":" + std::to_string(port) +
           "/vm/boot_complete";
}

Result<std::vector<domain::Address>>
addresses(const Config& config, std::string_view key, const ports::Signatures& signatures) {
    std::vector<domain::Address> out;
    for (const auto& text : config.list(key)) {
        auto address = signatures.parse_address(text);
        if (!address) {
            return fail(
                std::move(address).error().while_doing(config.setting(key).origin + ": " + std::string{key})
            );
        }
        out.push_back(*address);
    }
    return out;
}

Result<app::Settings> app_settings(const Config& config, const ports::Signatures& signatures) {
    app::Settings settings;
    settings.node = config.text("node_name").empty() ? host_name() : config.text("node_name");
    settings.max_vms = static_cast<std::uint64_t>(config.integer("max_vms"));
    settings.concurrent_vm_starts = static_cast<std::size_t>(config.integer("concurrent_vm_starts"));
    settings.default_vcpus = static_cast<std::uint32_t>(config.integer("default_vcpus"));
    settings.default_memory_mib = static_cast<std::uint32_t>(config.integer("default_memory_mb"));
    settings.default_disk_gib = static_cast<std::uint32_t>(config.integer("default_disk_size_gb"));
    settings.default_image = config.text("default_image");
    settings.vm_shutdown_timeout_s = config.integer("vm_shutdown_timeout");
    settings.timestamp_window = std::chrono::seconds{config.integer("auth_timestamp_window")};
    settings.registration =
        config.text("registration") == "open" ? app::Registration::open : app::Registration::closed;
    const auto quota = [&config](std::string_view key) {
        return static_cast<std::uint64_t>(config.integer(key));
    };
    settings.quotas.machines = quota("account_machines");
    settings.quotas.vcpus = quota("account_vcpus");
    settings.quotas.memory_mib = quota("account_memory_mb");
    settings.quotas.disk_bytes = quota("account_storage_gb") << 30;
    settings.quotas.images = quota("account_images");
    settings.quotas.forks = quota("account_forks");
    settings.most_image_bytes = static_cast<std::uint64_t>(config.integer("max_image_size_gb")) << 30;
    settings.refuse_untrusted_images = config.text("image_trust") == "refuse";
    settings.disk_cache = config.text("disk_cache");
    settings.disk_trim = config.flag("disk_trim");
    if (config.flag("storage_qos")) {
        settings.disk_iops = static_cast<std::uint32_t>(config.integer("max_disk_iops"));
        settings.disk_throughput_mbps =
            static_cast<std::uint32_t>(config.integer("max_disk_throughput_mbps"));
    }
    settings.session_lifetime = std::chrono::minutes{config.integer("session_lifetime")};
    settings.audit_retention = std::chrono::days{config.integer("audit_retention_days")};
    settings.audit_most_records = quota("audit_max_records");
    settings.audit_archive_dir = config.text("audit_archive_dir");
    settings.vm_dir = config.text("vm_dir");
    settings.images_dir = config.text("images_dir");
    TRY(settings.administrators, addresses(config, "admin_addresses", signatures));
    return settings;
}

Result<images::Settings>
image_settings(const Config& config, const std::string& owner, const ports::Signatures& signatures) {
    images::Settings settings;
    settings.folder = config.text("images_dir");
    settings.owner = owner;
    settings.qemu_img = config.text("qemu_img_binary");
    settings.most_virtual_bytes = static_cast<std::uint64_t>(config.integer("max_image_size_gb")) << 30;
    settings.time_limit = std::chrono::seconds{config.integer("image_time_limit")};
    TRY(settings.trusted_publishers, addresses(config, "trusted_publishers", signatures));
    settings.refuse_untrusted = config.text("image_trust") == "refuse";
    settings.allow_private_addresses = config.flag("allow_private_image_urls");
    settings.ca_file = config.text("image_ca_file");
    return settings;
}

// Without a name of its own the service is what this host alone can call it.
proofs::SignInRules sign_in_rules(const Config& config, std::uint16_t port) {
    proofs::SignInRules rules;
    rules.domains = config.list("siwe_domains");
    if (rules.domains.empty()) {
        for (const auto* host : {"localhost", "127.0.0.1", "[::1]"}) {
            rules.domains.push_back(std::string{host} + ":" + std::to_string(port));
        }
    }
    rules.chain_id = config.integer("siwe_chain_id");
    rules.window = std::chrono::seconds{config.integer("auth_timestamp_window")};
    return rules;
}

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

qemu::Settings qemu_settings(const Config& config, std::uint16_t port) {
    qemu::Settings settings;
    settings.binary = config.text("qemu_binary");
    settings.run_dir = fs::absolute(config.text("vm_dir"));
    settings.machine = config.text("machine");
    settings.accelerator = config.text("accel");
    const auto& [firmware, origin] = config.setting("kernel_path");
    std::error_code ignored;
    if (origin != "default" || fs::exists(firmware, ignored)) {
        settings.firmware = firmware;
    }
    settings.uefi_firmware = config.text("uefi_firmware");
    settings.callback_url = callback_url(config.text("api_host"), port);
    settings.console_log_bytes = static_cast<std::size_t>(config.integer("console_log_max_kb")) << 10;
    settings.virtio_rng = config.flag("enable_virtio_rng");
    return settings;
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
        TRY(auto image_wishes, image_settings(config_, identity.store, *signatures_));
        TRY(images_, images::create_image_store(loop_.get_executor(), image_wishes, *signatures_));
        disks_ = images::create_disk_store(image_wishes);
        hypervisor_ = qemu::create_hypervisor(loop_.get_executor(), qemu_settings(config_, server_->port()));
        wire_up();
        CHECK(complete(loop_, app_->load()));
        server_->start(*service_);
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
                    await_reopen();
                }
            });
        };
        await_reopen();
        asio::co_spawn(loop_, keep_house(), [](const std::exception_ptr&) {});
        loop_.restart();
        while (!stopping && loop_.run_one() > 0) {
        }
        finish();
    }

private:
    http::ServerSettings server_settings() const {
        http::ServerSettings settings;
        settings.host = config_.text("api_host");
        settings.port = static_cast<std::uint16_t>(config_.integer("api_port"));
        settings.workers = static_cast<unsigned>(config_.integer("api_workers"));
        settings.max_connections = static_cast<std::size_t>(config_.integer("api_max_connections"));
        return settings;
    }

    void wire_up() {
        host_ = host::create_host();
        const app::Ports outside{*store_, *hypervisor_, *images_, *disks_, *host_, *signatures_};
        app_ = std::make_unique<app::Application>(settings_, outside, loop_.get_executor(), &http::present);
        const auto signer = crypto::Signer::from_bytes(identity_key_);
        app_->ledger.service = {
            std::string{signer->address().text()},
            [signer = *signer](std::string_view message) { return signer.sign(message); }
        };
        app_->world.render = &http::render;
        app_->images.render = &http::render_image;
        service_ = std::make_unique<http::Service>(*app_, loop_.get_executor());
        service_->version = version();
        service_->request_timeout = std::chrono::seconds{config_.integer("api_request_timeout")};
        service_->max_body_bytes = static_cast<std::size_t>(config_.integer("api_max_body_size"));
        service_->clock_ns = &wall_clock_ns;
        service_->sign_in = sign_in_rules(config_, server_->port());
        service_->cors_origins = config_.list("cors_origins");
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
            asio::post(loop_, [this] { stopped_ = true; });
        }};
        while (!stopped_ && loop_.run_one() > 0) {
        }
        stopping.join();
        (void)complete(loop_, drain_jobs());
        spdlog::info("stopped");
        spdlog::shutdown();
    }

    Task<void> drain_jobs() {
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
    std::unique_ptr<ports::Host> host_;
    std::unique_ptr<app::Application> app_;
    std::unique_ptr<http::Service> service_;
    std::unique_ptr<http::Server> server_;
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
