#include "vmm/base/group.h"

#include <boost/asio/co_spawn.hpp>
#include <spdlog/spdlog.h>

namespace vmm {

struct Group::Count {
    std::atomic<int> running{0};
};

Group::Group(asio::any_io_executor executor)
    : executor_{std::move(executor)}, count_{std::make_shared<Count>()} {}

Group::~Group() = default;

void Group::spawn(std::string name, asio::awaitable<void> task) {
    ++count_->running;
    asio::co_spawn(
        executor_,
        std::move(task),
        [name = std::move(name), count = count_](const std::exception_ptr& thrown) {
            --count->running;
            if (!thrown) {
                return;
            }
            try {
                std::rethrow_exception(thrown);
            } catch (const std::exception& e) {
                spdlog::error("a task ended with an exception task=\"{}\" what=\"{}\"", name, e.what());
            }
        }
    );
}

int Group::running() const {
    return count_->running;
}

asio::awaitable<bool> Group::drained(std::chrono::milliseconds limit) {
    const auto until = std::chrono::steady_clock::now() + limit;
    while (running() > 0 && std::chrono::steady_clock::now() < until) {
        co_await pause_for(std::chrono::milliseconds{5});
    }
    co_return running() == 0;
}

}  // namespace vmm
