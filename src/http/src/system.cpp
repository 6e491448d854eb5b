#include "vmm/wire/messages.h"

#include "handlers.h"
#include "reply.h"

namespace vmm::http {
namespace {

std::string_view name(app::HealthStatus status) {
    switch (status) {
        case app::HealthStatus::healthy: return "healthy";
        case app::HealthStatus::degraded: return "degraded";
        case app::HealthStatus::unhealthy: return "unhealthy";
    }
    return "unhealthy";
}

Task<app::HealthReport> report(Service& service) {
    co_return co_await service.health.report();
}

}  // namespace

Task<Reply> show_health(Service& service, Request& request) {
    CO_TRY(const auto found, co_await on_application(service, report(service)));
    wire::Health health;
    health.status = name(found.status);
    for (const auto& [what, check] : found.checks) {
        health.checks[what] = wire::Check{std::string{name(check.status)}, check.detail};
    }
    health.version = service.version;
    health.uptime_s = std::chrono::duration_cast<std::chrono::seconds>(
                          std::chrono::steady_clock::now() - service.started_at
    )
                          .count();
    co_return json_reply(found.status == app::HealthStatus::unhealthy ? 503 : 200, health);
}

Task<Reply> show_openapi(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    Reply reply;
    reply.body = openapi_document(service.version);
    co_return reply;
}

}  // namespace vmm::http
