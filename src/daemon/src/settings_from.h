#pragma once

#include "vmm/app/settings.h"
#include "vmm/daemon/config.h"
#include "vmm/http/limits.h"
#include "vmm/http/network.h"
#include "vmm/images/store.h"
#include "vmm/network/host_network.h"
#include "vmm/ports/signatures.h"
#include "vmm/proofs/sign_in.h"
#include "vmm/qemu/hypervisor.h"

#include <filesystem>
#include <string>
#include <vector>

// What each part of the service is told, from the configuration. invalid, with the origin and the key.
namespace vmm::daemon {

Result<std::filesystem::path> state_file(const Config& config);
Result<app::Settings> app_settings(const Config& config, const ports::Signatures& signatures);
Result<images::Settings>
image_settings(const Config& config, const std::string& owner, const ports::Signatures& signatures);
network::Settings network_settings(const Config& config, const std::string& store);
// `port` is where guests report.
qemu::Settings qemu_settings(const Config& config, std::uint16_t port);
// Without a name of its own the service is what this host alone can call it.
proofs::SignInRules sign_in_rules(const Config& config, std::uint16_t port);
// N a second, and twice as many at once.
http::Rate rate_of(const Config& config, std::string_view key);
Result<std::vector<http::Network>> trusted_proxies(const Config& config);
// Origins are origins, and what TLS needs is all there or not at all.
Result<void> check_edge(const Config& config);

}  // namespace vmm::daemon
