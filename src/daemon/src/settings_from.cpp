#include "settings_from.h"

#include "vmm/base/text.h"

#include <boost/asio/ip/address.hpp>

#include <unistd.h>

#include <array>

namespace vmm::daemon {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view sqlite_scheme = "sqlite://";

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

}  // namespace

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

namespace {

Result<void> check_network(const Config& config) {
    const auto& name = config.text("default_network");
    if (name != domain::user_network && !domain::check_network_name(name)) {
        return invalid(
            "default_network",
            "default_network must be \"user\" or a name of 1 to 15 of a-z, 0-9 and '-', found " + quote(name)
        );
    }
    if (const auto& range = config.text("dhcp_range"); !range.empty()) {
        if (auto pool = domain::parse_pool("dhcp_range", range); !pool) {
            return std::unexpected{std::move(pool).error().while_doing("dhcp_range")};
        }
    }
    const auto& mesh = config.text("formnet_endpoint");
    if (!mesh.empty() && !mesh.starts_with("http://") && !mesh.starts_with("https://")) {
        return invalid("formnet_endpoint", "formnet_endpoint must be http://HOST:PORT, found " + quote(mesh));
    }
    if (!domain::parse_ip4(config.text("publish_address"))) {
        return invalid(
            "publish_address",
            "publish_address must be an IPv4 address, found " + quote(config.text("publish_address"))
        );
    }
    for (const auto& server : config.list("dns_servers")) {
        if (!domain::parse_ip4(server) && !domain::parse_ip6(server)) {
            return invalid("dns_servers", "dns_servers takes IP addresses, found " + quote(server));
        }
    }
    return {};
}

}  // namespace

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
    settings.default_network = config.text("default_network");
    settings.external_interface = config.text("external_interface");
    settings.dhcp_enabled = config.flag("dhcp_enabled");
    settings.dhcp_range = config.text("dhcp_range");
    settings.publish_address = config.text("publish_address");
    settings.formnet_endpoint = config.text("formnet_endpoint");
    settings.vm_boot_timeout = std::chrono::seconds{config.integer("vm_boot_timeout")};
    settings.close_user_networks =
        !config.flag("allow_outbound_traffic") || !config.flag("allow_vm_to_host_traffic");
    CHECK(check_network(config));
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

http::Rate rate_of(const Config& config, std::string_view key) {
    const auto rate = static_cast<double>(config.integer(key));
    return {rate, 2 * rate};
}

Result<std::vector<http::Network>> trusted_proxies(const Config& config) {
    std::vector<http::Network> out;
    for (const auto& text : config.list("trusted_proxies")) {
        auto network = http::Network::parse(text);
        if (!network) {
            return fail(std::move(network).error().while_doing(
                config.setting("trusted_proxies").origin + ": trusted_proxies"
            ));
        }
        out.push_back(*network);
    }
    return out;
}

Result<void> check_edge(const Config& config) {
    for (const auto& origin : config.list("cors_origins")) {
        const auto scheme = origin.find("://");
        if (scheme == std::string::npos || origin.find('/', scheme + 3) != std::string::npos) {
            return invalid(
                "cors_origins",
                "cors_origins takes origins such as https://console.example, found " + quote(origin)
            );
        }
    }
    if (config.text("tls_cert").empty() != config.text("tls_key").empty()) {
        return invalid("tls_cert", "tls_cert and tls_key need each other");
    }
    if (!config.text("tls_client_ca").empty() && config.text("tls_cert").empty()) {
        return invalid("tls_client_ca", "tls_client_ca needs tls_cert and tls_key");
    }
    return {};
}

network::Settings network_settings(const Config& config, const std::string& store) {
    network::Settings settings;
    settings.mark = store.substr(store.size() - 8);
    settings.folder = fs::absolute(config.text("vm_dir")) / "networks";
    settings.dnsmasq = config.text("dnsmasq_binary");
    settings.dns_servers = config.list("dns_servers");
    settings.rules.isolate_owners = config.flag("enable_vm_isolation");
    settings.rules.vm_to_vm = config.flag("allow_vm_to_vm_traffic");
    settings.rules.vm_to_host = config.flag("allow_vm_to_host_traffic");
    settings.rules.outbound = config.flag("allow_outbound_traffic");
    settings.rules.inbound = config.flag("allow_inbound_traffic");
    return settings;
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

}  // namespace vmm::daemon
