#include "servers.h"

#include "vmm/base/files.h"

#include <spdlog/spdlog.h>

namespace vmm::network {

namespace fs = std::filesystem;

namespace {

// A file that the server's own user reads, whatever the service's umask is.
void write_open(const fs::path& file, const std::string& content) {
    const auto written = write_file(file, content, 0644);
    std::error_code failed;
    fs::permissions(file, fs::perms{0644}, failed);
    if (!written || failed) {
        spdlog::error("a DHCP server's file cannot be written file={}", file.string());
    }
}

}  // namespace

Servers::Servers(asio::any_io_executor executor, const Settings& settings)
    : executor_{std::move(executor)}, settings_{settings} {}

std::shared_ptr<Dnsmasq> Servers::server(const std::string& name) {
    auto left = earlier_->extract(name);
    return std::make_shared<Dnsmasq>(
        executor_, settings_.dnsmasq, folder(name), left ? std::move(left.mapped()) : std::vector<pid_t>{}
    );
}

// DHCP and DNS: a server for each network, and one for names outside.
asio::awaitable<void> Servers::keep(
    const ports::Layout& layout,
    const std::map<std::string, std::string>& problems,
    std::uint16_t names,
    std::uint16_t resolver
) {
    std::map<std::string, std::vector<std::string>> wanted;
    for (const auto& network : layout.networks) {
        if (network.routed() && !problems.contains(network.name)) {
            const bool outside = network.kind == domain::NetworkKind::bridge;
            const auto upstream = outside ? resolver : std::uint16_t{0};
            wanted[network.name] = network_arguments(network, folder(network.name), names, upstream);
            if (outside) {
                wanted[resolver_name] =
                    resolver_arguments(folder(resolver_name), resolver, settings_.dns_servers);
            }
        }
    }
    if (!earlier_) {
        earlier_ = find_servers(settings_.folder);
    }
    for (auto server = servers_.begin(); server != servers_.end();) {
        if (wanted.contains(server->first)) {
            ++server;
            continue;
        }
        co_await server->second.process->end();
        server = servers_.erase(server);
    }
    for (const auto& [name, arguments] : wanted) {
        auto& server = servers_[name];
        if (server.process && server.arguments == arguments) {
            continue;
        }
        if (!server.process) {
            server.process = this->server(name);
        }
        server.arguments = arguments;
        server.hosts.clear();
        std::error_code ignored;
        fs::create_directories(folder(name), ignored);
        // dnsmasq's own user passes through; what else is there is closed by itself.
        fs::permissions(
            settings_.folder.parent_path(), fs::perms::others_exec, fs::perm_options::add, ignored
        );
        fs::permissions(settings_.folder, fs::perms{0711}, ignored);
        // There before the server looks for it.
        if (!fs::exists(folder(name) / "hosts", ignored)) {
            write_open(folder(name) / "hosts", "");
        }
        co_await server.process->start(arguments);
    }
    co_await drop_folders(wanted);
}

// Of networks that an earlier run of the service knew.
asio::awaitable<void> Servers::drop_folders(const std::map<std::string, std::vector<std::string>>& wanted) {
    std::vector<std::string> left;
    for (const auto& [name, pids] : *earlier_) {
        left.push_back(name);
    }
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator{settings_.folder, failed}) {
        const auto name = entry.path().filename().string();
        if (!wanted.contains(name) && !earlier_->contains(name)) {
            left.push_back(name);
        }
    }
    for (const auto& name : left) {
        co_await server(name)->end();
    }
}

void Servers::write_hosts(const ports::Layout& layout) {
    std::map<std::string, std::vector<DhcpHost>> hosts;
    for (const auto& member : layout.members) {
        for (const auto& plugged : member.interfaces) {
            if (plugged.interface.ip4) {
                hosts[plugged.interface.network].push_back(
                    {plugged.interface.mac, domain::text(*plugged.interface.ip4)}
                );
            }
        }
    }
    for (auto& [name, server] : servers_) {
        if (name == resolver_name) {
            continue;
        }
        const auto text = hosts_file(hosts[name]);
        if (server.hosts == text) {
            continue;
        }
        server.hosts = text;
        write_open(folder(name) / "hosts", text);
        server.process->reload();
    }
}

std::vector<ports::Lease> Servers::leases(const std::string& network) const {
    return read_leases(read_file(folder(network) / "leases", 8 << 20).value_or(""));
}

std::map<std::string, std::string> Servers::problems() const {
    std::map<std::string, std::string> out;
    for (const auto& [name, server] : servers_) {
        if (!server.process->problem().empty()) {
            out.emplace(name, server.process->problem());
        }
    }
    return out;
}

}  // namespace vmm::network
