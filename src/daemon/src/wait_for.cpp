#include "wait_for.h"

#include "vmm/base/task.h"
#include "vmm/base/text.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <spdlog/spdlog.h>

#include <optional>

namespace vmm::daemon {
namespace {

using tcp = asio::ip::tcp;

asio::awaitable<bool> reachable(std::string host, std::string port) {
    const auto executor = co_await asio::this_coro::executor;
    tcp::resolver resolver{executor};
    const auto [unknown, places] = co_await resolver.async_resolve(host, port, as_value);
    if (unknown) {
        co_return false;
    }
    tcp::socket socket{executor};
    const auto [failed, place] = co_await asio::async_connect(socket, places, as_value);
    co_return !failed;
}

Task<void> wait_for_one(std::string service, std::chrono::seconds limit) {
    const auto colon = service.rfind(':');
    const auto port = colon == std::string::npos
                          ? std::nullopt
                          : parse_number<std::uint16_t>(std::string_view{service}.substr(colon + 1));
    if (!port || colon == 0) {
        co_return fail(Code::invalid, "wait_for: " + quote(service) + " is not host:port");
    }
    const auto until = std::chrono::steady_clock::now() + limit;
    for (bool said = false; !co_await reachable(service.substr(0, colon), service.substr(colon + 1));
         said = true) {
        if (!said) {
            spdlog::info("waiting for {} for up to {} s", service, limit.count());
        }
        if (std::chrono::steady_clock::now() >= until) {
            co_return fail(
                Code::timed_out,
                "wait_for: " + service + " did not accept connections within " +
                    std::to_string(limit.count()) + " s"
            );
        }
        co_await pause_for(std::chrono::milliseconds{200});
    }
    co_return Result<void>{};
}

}  // namespace

Result<void> wait_for(const std::vector<std::string>& services, std::chrono::seconds limit) {
    for (const auto& service : services) {
        asio::io_context loop;
        std::optional<Result<void>> outcome;
        asio::co_spawn(
            loop,
            wait_for_one(service, limit),
            [&outcome](const std::exception_ptr&, Result<void> result) { outcome = std::move(result); }
        );
        // A connect that hangs must not hold the limit up.
        loop.run_for(limit + std::chrono::seconds{2});
        CHECK(outcome.value_or(fail(Code::timed_out, "wait_for: " + service + " does not answer")));
    }
    return {};
}

}  // namespace vmm::daemon
