#pragma once

#include "vmm/app/world.h"

#include <chrono>
#include <map>
#include <string>

namespace vmm::app {

enum class HealthStatus : std::uint8_t { healthy, degraded, unhealthy };

struct HealthCheck {
    HealthStatus status = HealthStatus::healthy;
    std::string detail;
};

struct HealthReport {
    HealthStatus status = HealthStatus::healthy;
    std::map<std::string, HealthCheck> checks;
};

// Whether the service can do its work. Looks at most once a second, however often it is asked. Used on the
// application's executor.
class Health {
public:
    explicit Health(World& world) : world_{world} {}

    asio::awaitable<HealthReport> report();

private:
    asio::awaitable<HealthCheck> check_store();
    asio::awaitable<HealthCheck> check_qemu(HealthCheck& accelerator);
    [[nodiscard]] HealthCheck check_networks() const;
    [[nodiscard]] HealthCheck check_folder(const std::filesystem::path& folder, std::uint64_t needed_mib)
        const;

    World& world_;
    HealthReport last_;
    std::chrono::steady_clock::time_point looked_at_{};
};

}  // namespace vmm::app
