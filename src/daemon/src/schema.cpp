#include "vmm/daemon/config.h"

#include <array>

namespace vmm::daemon {
namespace {

using Type = Key::Type;

constexpr Key
text(std::string_view section, std::string_view name, std::string_view fallback, std::string_view help) {
    return {name, Type::text, fallback, 0, 0, "", section, help};
}

constexpr Key integer(
    std::string_view section,
    std::string_view name,
    std::string_view fallback,
    std::int64_t least,
    std::int64_t most,
    std::string_view help
) {
    return {name, Type::integer, fallback, least, most, "", section, help};
}

constexpr Key
boolean(std::string_view section, std::string_view name, std::string_view fallback, std::string_view help) {
    return {name, Type::boolean, fallback, 0, 0, "", section, help};
}

constexpr Key choice(
    std::string_view section,
    std::string_view name,
    std::string_view fallback,
    std::string_view choices,
    std::string_view help
) {
    return {name, Type::choice, fallback, 0, 0, choices, section, help};
}

constexpr std::array schema{
    text("API", "api_host", "0.0.0.0", "IP address to listen on"),
    integer("API", "api_port", "3003", 0, 65535, "Port to listen on; 0 takes any free one and logs it"),
    integer("API", "api_workers", "4", 1, 64, "Threads that serve connections"),
    integer(
        "API",
        "api_request_timeout",
        "30",
        1,
        3600,
        "Seconds after which an action goes on as an operation (202)"
    ),
    integer("API", "api_max_body_size", "10485760", 1024, 1073741824, "Largest request body in bytes"),
    integer("API", "api_max_connections", "16384", 16, 1000000, "Most connections at once"),

    integer("API", "api_max_connections_per_source", "1024", 0, 1000000, "Of one address; 0 is no limit"),
    text("API", "tls_cert", "", "Certificate with its chain, in PEM; encrypts the API. SIGHUP reads it anew"),
    text("API", "tls_key", "", "Its private key, in PEM"),
    text(
        "API",
        "tls_client_ca",
        "",
        "Authorities, in PEM, one of which must have signed a client's certificate"
    ),
    integer(
        "API",
        "guest_port",
        "0",
        0,
        65535,
        "Loopback port on which guests report without TLS, when there is TLS; 0 is the one after api_port, "
        "any if that is any"
    ),
    text(
        "API",
        "trusted_proxies",
        "",
        "Addresses or networks whose X-Forwarded-For is believed, separated by commas"
    ),
    text(
        "API",
        "cors_origins",
        "",
        "Origins whose pages may call the API, separated by commas; none when empty"
    ),
    integer(
        "API",
        "rate_limit_source",
        "1000",
        0,
        1000000,
        "Requests a second of one address, twice as many at once; 0 is no limit"
    ),
    integer(
        "API",
        "rate_limit_failures",
        "20",
        0,
        1000000,
        "Requests a second of one address that nobody known has signed, twice as many at once; 0 is no limit"
    ),
    integer(
        "API",
        "rate_limit_address",
        "500",
        0,
        1000000,
        "Requests a second of one account, twice as many at once; 0 is no limit"
    ),

    text(
        "State",
        "state_url",
        "http://form-state:3004",
        "Where the state is kept; sqlite:///absolute/path is the one scheme so far"
    ),

    text("Access", "admin_addresses", "", "Administrators' Ethereum addresses, separated by commas"),
    choice(
        "Access",
        "registration",
        "closed",
        "closed|open",
        "Who makes accounts: administrators, or anyone their own"
    ),
    integer(
        "Access",
        "auth_timestamp_window",
        "300",
        5,
        3600,
        "Seconds that a request's X-Timestamp may be off"
    ),

    boolean(
        "Access",
        "legacy_auth",
        "false",
        "Accept signatures in the bodies of old clients' requests; they can be repeated for ever"
    ),
    integer("Access", "session_lifetime", "480", 1, 43200, "Minutes that a session lasts"),
    text(
        "Access",
        "siwe_domains",
        "",
        "host[:port],... that sign-in messages may be for; this host's loopback names when empty"
    ),
    integer("Access", "siwe_chain_id", "1", 1, 9007199254740991, "Chain id of sign-in messages"),

    text(
        "Network",
        "default_network",
        "user",
        "Of machines that name none: user, or a bridge network, which is made when it is missing"
    ),
    text(
        "Network",
        "external_interface",
        "",
        "The default network's only way out; empty: wherever the host's routes lead"
    ),
    boolean("Network", "dhcp_enabled", "true", "A DHCP server in the default network"),
    text(
        "Network",
        "dhcp_range",
        "",
        "The default network's addresses, as 192.168.122.2-192.168.122.254; empty takes a free range"
    ),
    text(
        "Network",
        "dns_servers",
        "",
        "Servers that guests' questions go to, separated by commas; the host's own when empty"
    ),
    text("Network", "dnsmasq_binary", "dnsmasq", "DHCP and DNS server: a path, or a name looked up in PATH"),
    text("Network", "publish_address", "0.0.0.0", "Host address of published ports that name none"),
    text(
        "Network",
        "formnet_endpoint",
        "",
        "http://HOST:PORT of the mesh that machines join; empty: none do"
    ),
    boolean(
        "Firewall",
        "enable_vm_isolation",
        "true",
        "Machines of different owners do not reach each other"
    ),
    boolean("Firewall", "allow_vm_to_vm_traffic", "true", "Machines reach each other"),
    boolean("Firewall", "allow_vm_to_host_traffic", "true", "Machines reach the host's own services"),
    boolean("Firewall", "allow_outbound_traffic", "true", "Machines reach what is outside the host"),
    boolean(
        "Firewall",
        "allow_inbound_traffic",
        "false",
        "What is outside reaches machines; published ports work either way"
    ),

    integer(
        "Ledger",
        "audit_retention_days",
        "0",
        0,
        36500,
        "Days that records stay in the store; 0 keeps them"
    ),
    integer(
        "Ledger",
        "audit_max_records",
        "0",
        0,
        1000000000,
        "Records that stay in the store; 0 is no limit"
    ),
    text(
        "Ledger",
        "audit_archive_dir",
        "",
        "Folder to which records go that leave the store; empty drops them"
    ),

    integer(
        "Quotas",
        "account_machines",
        "0",
        0,
        100000,
        "Machines that an account may have; 0 is no limit, here and below"
    ),
    integer("Quotas", "account_vcpus", "0", 0, 1000000, "vCPUs of all its machines, running or not"),
    integer(
        "Quotas",
        "account_memory_mb",
        "0",
        0,
        1073741824,
        "MiB of memory of all its machines, running or not"
    ),
    integer(
        "Quotas",
        "account_storage_gb",
        "0",
        0,
        1048576,
        "GiB that its images and disks may take on the host"
    ),
    integer("Quotas", "account_images", "0", 0, 1000000, "Images that it may have"),
    integer("Quotas", "account_forks", "0", 0, 100000, "Machines forked off others that it may have"),

    text("Machines", "vm_dir", "/run/form-vm", "Folder for sockets and logs of running machines"),
    text(
        "Machines",
        "images_dir",
        "/var/lib/formation/vm-images",
        "Folder of images; what is brought goes to .images and disks to .machines below it"
    ),
    text("Machines", "uefi_firmware", "/usr/share/ovmf/OVMF.fd", "Firmware of images that want UEFI"),
    text(
        "Machines",
        "kernel_path",
        "/var/lib/formation/kernel/hypervisor-fw",
        "Firmware for machines that boot from a disk; QEMU's own when the file is absent"
    ),
    text("Machines", "default_image", "", "Image of a machine that names none"),
    integer("Machines", "default_vcpus", "1", 1, 255, "vCPUs of a machine that names none"),
    integer(
        "Machines",
        "default_memory_mb",
        "512",
        64,
        1048576,
        "MiB of memory of a machine that names none"
    ),
    integer("Machines", "default_disk_size_gb", "10", 1, 65535, "GiB of disk of a machine that names none"),
    integer("Machines", "max_vms", "100", 1, 100000, "Most machines on this host"),
    integer(
        "Machines",
        "concurrent_vm_starts",
        "5",
        1,
        1000,
        "Machines that start at the same time; further ones wait"
    ),
    integer(
        "Machines",
        "vm_shutdown_timeout",
        "30",
        0,
        3600,
        "Seconds a guest has to turn itself off before it is ended by force"
    ),
    integer(
        "Machines",
        "vm_boot_timeout",
        "120",
        1,
        86400,
        "Seconds after which a guest that has not reported is said to be late"
    ),

    integer(
        "Images",
        "max_image_size_gb",
        "2048",
        1,
        65536,
        "GiB that an image may have, packed or as its guest sees it"
    ),
    integer(
        "Images",
        "image_time_limit",
        "3600",
        1,
        86400,
        "Seconds that a conversion, or a download, may take"
    ),
    text("Images", "qemu_img_binary", "/usr/bin/qemu-img", "qemu-img, below /usr; it runs in a sandbox"),
    text("Images", "trusted_publishers", "", "Addresses whose .form images are trusted, separated by commas"),
    choice(
        "Images",
        "image_trust",
        "mark",
        "mark|refuse",
        "What happens to .form images that are unsigned or of another publisher"
    ),
    boolean(
        "Images",
        "allow_private_image_urls",
        "false",
        "Import from urls that lead to loopback and private addresses"
    ),
    text("Images", "image_ca_file", "", "Certificates trusted for https imports, beside the system's own"),

    choice(
        "Disks",
        "disk_cache",
        "writeback",
        "writeback|writethrough|none|directsync|unsafe",
        "How disks that say nothing else use the host's page cache"
    ),
    boolean("Disks", "disk_trim", "true", "Give back to the host what guests discard"),
    boolean("Disks", "storage_qos", "false", "Limit disks that say nothing else by the two numbers below"),
    integer(
        "Disks",
        "max_disk_iops",
        "1000",
        0,
        1000000,
        "Operations a second with storage_qos; 0 is no limit"
    ),
    integer(
        "Disks",
        "max_disk_throughput_mbps",
        "100",
        0,
        1000000,
        "Megabytes a second with storage_qos; 0 is no limit"
    ),

    text("QEMU", "qemu_binary", "qemu-system-x86_64", "QEMU: a path, or a name in PATH"),
    choice(
        "QEMU",
        "machine",
        "auto",
        "auto|microvm|q35",
        "Machine type; auto is microvm for a kernel, and q35 for a disk or with a GPU"
    ),
    choice(
        "QEMU",
        "accel",
        "auto",
        "auto|kvm|tcg",
        "Accelerator; auto takes KVM only where a probe machine really runs"
    ),
    boolean("QEMU", "enable_virtio_rng", "true", "Give machines a source of random numbers"),
    integer("QEMU", "console_log_max_kb", "1024", 16, 1048576, "KiB kept of each machine's console"),

    choice("Logging", "log_level", "info", "debug|info|warn|error", "Least severe messages that are logged"),
    choice("Logging", "log_format", "text", "text|json", "One line of text, or one JSON object a line"),
    text("Logging", "log_file", "", "File to log to; standard error when empty. SIGHUP opens it anew"),
    integer("Logging", "log_max_size_mb", "50", 1, 10240, "MiB after which the log file is rotated"),
    integer("Logging", "log_max_files", "5", 1, 100, "Rotated log files that are kept"),

    text("Startup", "node_name", "", "Name of this node; the host name when empty"),
    text("Startup", "wait_for", "", "host:port,... that must accept connections before the service starts"),
    integer("Startup", "wait_for_timeout", "60", 1, 3600, "Seconds to wait for each of them"),
};

}  // namespace

std::span<const Key> keys() {
    return schema;
}

}  // namespace vmm::daemon
