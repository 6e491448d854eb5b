#pragma once

#include "vmm/base/task.h"

#include <boost/asio/any_io_executor.hpp>

#include <atomic>
#include <memory>
#include <string>

namespace vmm {

// Owns every coroutine that it spawns: nothing runs on after drained(). A task that throws is logged by its
// name. spawn() may be called from any thread; the tasks run on the executor given at construction.
class Group {
public:
    explicit Group(asio::any_io_executor executor);
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;
    ~Group();

    void spawn(std::string name, asio::awaitable<void> task);

    [[nodiscard]] const asio::any_io_executor& executor() const { return executor_; }

    // Tasks that have not ended.
    [[nodiscard]] int running() const;

    // Returns when no task runs, or after the limit; true when none does.
    asio::awaitable<bool> drained(std::chrono::milliseconds limit);

private:
    struct Count;

    asio::any_io_executor executor_;
    std::shared_ptr<Count> count_;
};

}  // namespace vmm
