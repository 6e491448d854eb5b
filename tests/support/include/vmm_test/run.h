#pragma once

#include "vmm/base/task.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <optional>

namespace vmm::test {

// Runs one task to its end on a loop of its own.
template <class T>
Result<T> run(Task<T> task) {
    asio::io_context loop;
    std::optional<Result<T>> out;
    asio::co_spawn(loop, std::move(task), [&](const std::exception_ptr& thrown, Result<T> result) {
        if (thrown) {
            std::rethrow_exception(thrown);
        }
        out = std::move(result);
    });
    loop.run();
    return *std::move(out);
}

}  // namespace vmm::test
