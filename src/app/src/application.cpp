#include "vmm/app/application.h"

#include <spdlog/spdlog.h>

namespace vmm::app {

Task<void> Application::load() {
    CO_CHECK(co_await teams.load());
    CO_CHECK(co_await accounts.load());
    CO_CHECK(co_await sessions.load());
    CO_CHECK(co_await revocations.load());
    CO_CHECK(co_await replay.load());
    CO_CHECK(co_await ledger.load());
    CO_CHECK(co_await operations.load());
    CO_CHECK(co_await images.load());
    CO_CHECK(co_await networks.load());
    CO_CHECK(co_await fleet.load());
    CO_CHECK(co_await networks.start());
    co_await images.recover();
    co_return Result<void>{};
}

asio::awaitable<void> Application::keep_house() {
    const auto at = now();
    (void)co_await world.store.drop_expired(at);
    replay.forget_expired(at);
    sessions.forget_expired(at);
    revocations.forget_expired(at);
    operations.forget_old(at);
    if (const auto rotated = co_await ledger.rotate(at); !rotated) {
        spdlog::error("the ledger cannot be rotated error=\"{}\"", rotated.error().message());
    }
    co_await images.forget_old_uploads(at);
}

}  // namespace vmm::app
