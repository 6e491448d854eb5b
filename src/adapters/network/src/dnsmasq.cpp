#include "dnsmasq.h"

#include "vmm/base/fault.h"
#include "vmm/base/files.h"
#include "vmm/base/text.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace vmm::network {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr auto settle_time = 30ms;  // in which a server that cannot run ends
constexpr auto end_limit = 5s;
constexpr std::chrono::milliseconds shortest_pause = 20ms;  // before it is started again
constexpr std::chrono::milliseconds longest_pause = 5s;

std::string mask_of(const domain::Range4& range) {
    return domain::text(domain::Ip4{range.prefix == 0 ? 0 : ~0U << (32 - range.prefix)});
}

void tell(const Process& process, int signal) {
    (void)syscall(SYS_pidfd_send_signal, process.pidfd.get(), signal, nullptr, 0);
}

// Whether the user may pass through all folders on the way and use the last.
bool reachable(const fs::path& folder) {
    for (auto at = folder; at != at.root_path(); at = at.parent_path()) {
        struct stat info{};
        if (::stat(at.c_str(), &info) != 0 || (info.st_mode & S_IXOTH) == 0) {
            return false;
        }
    }
    return true;
}

// The user that dnsmasq runs as, with its folder made theirs; root where nobody else can reach the folder.
std::string settle_user(const fs::path& folder) {
    for (const auto* name : {"dnsmasq", "nobody"}) {
        const auto* user = ::getpwnam(name);  // NOLINT(concurrency-mt-unsafe): one thread asks
        if (user != nullptr && reachable(folder) &&
            ::chown(folder.c_str(), user->pw_uid, static_cast<gid_t>(-1)) == 0) {
            for (const auto& entry : fs::directory_iterator{folder}) {
                (void)::chown(entry.path().c_str(), user->pw_uid, static_cast<gid_t>(-1));
            }
            return name;
        }
    }
    return "root";
}

// The name of the server's folder; empty for other processes. Its arguments name a file in it.
std::string server_of(pid_t pid, const fs::path& folders) {
    const auto arguments = read_file("/proc/" + std::to_string(pid) + "/cmdline", 1 << 16);
    if (!arguments || !arguments->contains("--keep-in-foreground")) {
        return "";
    }
    const auto start = "=" + folders.string() + "/";
    const auto at = arguments->find(start);
    if (at == std::string::npos) {
        return "";
    }
    const auto name = arguments->substr(at + start.size());
    return name.substr(0, name.find('/'));
}

}  // namespace

std::vector<std::string> network_arguments(
    const domain::Network& network,
    const fs::path& folder,
    std::uint16_t names,
    std::uint16_t resolver
) {
    const auto gateway = domain::text(network.range.gateway());
    const auto here = "127.0.0.1#" + std::to_string(names);
    std::vector<std::string> out{
        "--conf-file=/dev/null",
        "--keep-in-foreground",
        "--log-facility=-",
        "--pid-file=",
        "--interface=" + network.name,
        "--except-interface=lo",
        "--bind-dynamic",
        "--no-hosts",
        "--no-resolv",
        // The answer to a question about a machine depends on who asks.
        "--add-subnet=32,128",
        "--cache-size=0",
        "--server=/vm.internal/" + here,
        "--rev-server=" + domain::text(network.range) + "," + here,
        "--dhcp-leasefile=" + (folder / "leases").string(),
    };
    if (resolver != 0) {
        out.push_back("--server=127.0.0.1#" + std::to_string(resolver));
    }
    if (network.dhcp) {
        for (std::string argument :
             {"--dhcp-range=" + domain::text(network.range.first) + ",static," + mask_of(network.range),
              "--dhcp-hostsfile=" + (folder / "hosts").string(),
              "--dhcp-option=option:dns-server," + gateway,
              "--dhcp-option=option:mtu," + std::to_string(network.mtu),
              std::string{"--domain=vm.internal"},
              std::string{"--dhcp-authoritative"},
              std::string{"--dhcp-rapid-commit"},
              // A name that a guest asks for is not one that others shall find.
              std::string{"--dhcp-ignore-names"},
              std::string{"--no-ping"},
              std::string{"--dhcp-lease-max=65536"}}) {
            out.push_back(std::move(argument));
        }
        out.push_back(
            network.kind == domain::NetworkKind::isolated ? "--dhcp-option=121,169.254.169.254/32," + gateway
                                                          : "--dhcp-option=option:router," + gateway
        );
    }
    if (network.dhcp && network.kind == domain::NetworkKind::isolated) {
        // No router, not even the server itself.
        out.emplace_back("--dhcp-option=option:router");
    }
    if (network.prefix6) {
        out.emplace_back("--enable-ra");
        out.push_back("--dhcp-range=" + domain::text(*network.prefix6) + ",ra-only,off-link,64");
        out.push_back("--ra-param=" + network.name + ",mtu:" + std::to_string(network.mtu) + ",60,1800");
    }
    return out;
}

std::vector<std::string>
resolver_arguments(const fs::path& folder, std::uint16_t port, const std::vector<std::string>& servers) {
    std::vector<std::string> out{
        "--conf-file=/dev/null",
        "--keep-in-foreground",
        "--log-facility=-",
        "--pid-file=" + (folder / "pid").string(),
        "--port=" + std::to_string(port),
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--no-hosts",
        // Nobody outside learns which machine asks.
        "--strip-subnet",
        "--cache-size=1000",
    };
    if (!servers.empty()) {
        out.emplace_back("--no-resolv");
    }
    for (const auto& server : servers) {
        out.push_back("--server=" + server);
    }
    return out;
}

// Without tags: dnsmasq 2.90 corrupts its memory when it reads a host with one again after having served it.
std::string hosts_file(const std::vector<DhcpHost>& hosts) {
    std::string out;
    for (const auto& host : hosts) {
        out += host.mac + "," + host.address + ",12h\n";
    }
    return out;
}

std::vector<ports::Lease> read_leases(std::string_view text) {
    std::vector<ports::Lease> out;
    for (const auto& line : split(text, '\n')) {
        // expiry MAC address name client-id
        const auto words = split(line, ' ');
        const auto expiry = words.size() == 5 ? parse_number<std::int64_t>(words[0]) : std::nullopt;
        if (expiry && domain::parse_mac(words[1])) {
            ports::Lease lease;
            lease.mac = words[1];
            lease.address = words[2];
            lease.expires_at = *expiry;
            out.push_back(std::move(lease));
        }
    }
    return out;
}

std::map<std::string, std::vector<pid_t>> find_servers(const fs::path& folders) {
    std::map<std::string, std::vector<pid_t>> found;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator{"/proc", failed}) {
        if (const auto pid = parse_number<pid_t>(entry.path().filename().string())) {
            if (const auto name = server_of(*pid, folders); !name.empty()) {
                found[name].push_back(*pid);
            }
        }
    }
    return found;
}

Dnsmasq::Dnsmasq(
    asio::any_io_executor executor,
    std::string program,
    fs::path folder,
    std::vector<pid_t> earlier
)
    : executor_{std::move(executor)},
      program_{std::move(program)},
      folder_{std::move(folder)},
      earlier_{std::move(earlier)} {}

asio::awaitable<void> Dnsmasq::start(std::vector<std::string> arguments) {
    const auto self = shared_from_this();
    arguments_ = std::move(arguments);
    wanted_ = true;
    pause_ = shortest_pause;
    const auto number = ++launches_;
    const auto launched = co_await launch(number);
    if (!launched) {
        note(number, launched.error());
        asio::co_spawn(executor_, [self, number] { return self->persist(number); }, asio::detached);
    }
}

// Those of an earlier run of the service, and our own.
asio::awaitable<void> Dnsmasq::end_running() {
    const auto self = shared_from_this();
    for (const auto pid : std::exchange(earlier_, {})) {
        const auto process = open_process(pid);
        // Looked at after the descriptor is held: from here on the number cannot be another's.
        if (process.pidfd && server_of(pid, folder_.parent_path()) == folder_.filename()) {
            kill(process);
            (void)co_await gone_within(process, end_limit);
        }
    }
    if (const auto process = std::exchange(process_, {}); process.pidfd) {
        kill(process);
        (void)co_await gone_within(process, end_limit);
        (void)reap(process);
    }
}

Task<void> Dnsmasq::launch(std::uint64_t number) {
    const auto self = shared_from_this();
    if (find_program(program_).empty()) {
        co_return fail(
            Code::unavailable, "the program " + quote(program_) + " is missing or cannot be executed"
        );
    }
    co_await end_running();
    if (superseded(number)) {
        co_return fail(Code::cancelled, "another launch has taken its place");
    }
    std::error_code failed;
    fs::create_directories(folder_, failed);
    fs::permissions(folder_, fs::perms{0755}, failed);
    fs::remove(folder_ / "log", failed);
    const Fd log{::open((folder_ / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)};
    if (!log) {
        co_return fail(os_error("making the DHCP server's log"));
    }
    auto arguments = arguments_;
    const auto user = settle_user(folder_);
    if (user == "root" && !std::exchange(warned_, true)) {
        spdlog::warn(
            "dnsmasq runs as root, because its user cannot reach the folder folder={}", folder_.string()
        );
    }
    arguments.push_back("--user=" + user);
    std::vector<int> nothing;
    CO_TRY(process_, spawn(program_, arguments, log.get(), nothing));
    fault_point("dnsmasq.spawned");
    Process mine{process_.pid, Fd{::dup(process_.pidfd.get())}};  // the next launch brings another
    if (co_await gone_within(mine, settle_time)) {
        (void)reap(mine);
        co_return fail(Code::unavailable, "dnsmasq does not run: " + quote(last_words(), 200));
    }
    if (!superseded(number)) {
        problem_.clear();
        auto follow = [self, number, process = std::move(mine)]() mutable {
            return self->watch(std::move(process), number);
        };
        asio::co_spawn(executor_, std::move(follow), asio::detached);
    }
    co_return Result<void>{};
}

std::string Dnsmasq::last_words() const {
    const auto said = read_file(folder_ / "log", 1 << 16).value_or("");
    const auto words = trim(said);
    return std::string{words.substr(words.rfind('\n') == std::string_view::npos ? 0 : words.rfind('\n') + 1)};
}

asio::awaitable<void> Dnsmasq::watch(Process process, std::uint64_t number) {
    const auto self = shared_from_this();
    const auto began = std::chrono::steady_clock::now();
    co_await gone(process);
    if (superseded(number)) {
        co_return;
    }
    const auto exit_status = reap(process);
    problem_ = "dnsmasq has ended and is started again";
    spdlog::warn(
        "{} folder={} {}={} said=\"{}\"",
        problem_,
        folder_.string(),
        exit_status && exit_status->by_signal ? "signal" : "status",
        exit_status ? exit_status->value : -1,
        last_words()
    );
    if (std::chrono::steady_clock::now() - began > longest_pause) {
        pause_ = shortest_pause;
    }
    co_await persist(number);
}

// Tries to start it, soon at first and then ever more patiently, until it runs.
asio::awaitable<void> Dnsmasq::persist(std::uint64_t number) {
    const auto self = shared_from_this();
    while (!superseded(number)) {
        co_await pause_for(pause_);
        pause_ = std::min(pause_ * 2, longest_pause);
        if (superseded(number)) {
            co_return;
        }
        number = ++launches_;
        const auto launched = co_await launch(number);
        if (launched) {
            co_return;
        }
        note(number, launched.error());
    }
}

void Dnsmasq::note(std::uint64_t number, const Error& failure) {
    if (superseded(number) || problem_ == failure.message()) {
        return;
    }
    problem_ = failure.message();
    spdlog::error(
        "dnsmasq cannot be started; it is tried again folder={} error=\"{}\"", folder_.string(), problem_
    );
}

void Dnsmasq::reload() {
    if (process_.pidfd) {
        tell(process_, SIGHUP);
    }
}

asio::awaitable<void> Dnsmasq::end() {
    const auto self = shared_from_this();
    wanted_ = false;
    ++launches_;
    co_await end_running();
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
}

}  // namespace vmm::network
