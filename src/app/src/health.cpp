#include "vmm/app/health.h"

#include "vmm/app/networks.h"
#include "vmm/domain/admission.h"

#include <algorithm>

namespace vmm::app {
namespace {

constexpr auto fresh_for = std::chrono::seconds{1};
constexpr std::uint64_t run_dir_mib = 16;

}  // namespace

asio::awaitable<HealthReport> Health::report() {
    const auto at = std::chrono::steady_clock::now();
    if (!last_.checks.empty() && at - looked_at_ < fresh_for) {
        co_return last_;
    }
    looked_at_ = at;
    HealthReport report;
    report.checks["store"] = co_await check_store();
    report.checks["qemu"] = co_await check_qemu(report.checks["accelerator"]);
    report.checks["vm_dir"] = check_folder(world_.settings.vm_dir, run_dir_mib);
    report.checks["images_dir"] = check_folder(world_.settings.images_dir, domain::disk_reserve_mib);
    report.checks["networks"] = check_networks();
    for (const auto& [name, check] : report.checks) {
        report.status = std::max(report.status, check.status);
    }
    last_ = report;
    co_return report;
}

asio::awaitable<HealthCheck> Health::check_store() {
    const auto works = co_await world_.store.check();
    if (works) {
        co_return HealthCheck{HealthStatus::healthy, "reads and writes"};
    }
    co_return HealthCheck{HealthStatus::unhealthy, works.error().message()};
}

asio::awaitable<HealthCheck> Health::check_qemu(HealthCheck& accelerator) {
    const auto facts = co_await world_.hypervisor.facts();
    if (!facts) {
        accelerator = {HealthStatus::degraded, "not known without QEMU"};
        co_return HealthCheck{
            HealthStatus::degraded, "machines cannot be started: " + facts.error().message()
        };
    }
    accelerator = {HealthStatus::healthy, facts->accelerator + ": " + facts->accelerator_reason};
    co_return HealthCheck{HealthStatus::healthy, facts->version};
}

HealthCheck Health::check_networks() const {
    std::string wrong;
    for (const auto& [name, problem] : world_.networks->problems()) {
        wrong.append(wrong.empty() ? "" : "; ").append(name).append(": ").append(problem);
    }
    return wrong.empty() ? HealthCheck{HealthStatus::healthy, "as they should be"}
                         : HealthCheck{HealthStatus::degraded, wrong};
}

HealthCheck Health::check_folder(const std::filesystem::path& folder, std::uint64_t needed_mib) const {
    const auto free = world_.host.check_folder(folder);
    if (!free) {
        return {HealthStatus::unhealthy, free.error().message()};
    }
    if (*free < needed_mib) {
        return {
            HealthStatus::degraded,
            "only " + std::to_string(*free) + " MiB are free; " + std::to_string(needed_mib) + " are needed"
        };
    }
    return {HealthStatus::healthy, std::to_string(*free) + " MiB free"};
}

}  // namespace vmm::app
