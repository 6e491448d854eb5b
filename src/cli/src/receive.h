#pragma once

#include "vmm/base/progress.h"
#include "vmm/base/task.h"
#include "vmm/fetch/stream.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vmm::cli {

// Runs one task on a loop of its own.
template <class T>
Result<T> complete(Task<T> task) {
    asio::io_context loop;
    std::optional<Result<T>> out;
    asio::co_spawn(loop, std::move(task), [&out](const std::exception_ptr& thrown, Result<T> result) {
        out = thrown ? fail(Code::internal, "the transfer failed") : std::move(result);
    });
    loop.run();
    return *std::move(out);
}

// Writes what the service answers into a file from `at` on, or from its beginning when the service sends all
// of it; cuts the file there. Returns the ETag without its quotes, or nothing.
Task<std::string> receive_into(
    int file,
    std::uint64_t at,
    fetch::Url from,
    std::vector<std::pair<std::string, std::string>> headers,
    std::string ca_file,
    ProgressView progress
);

}  // namespace vmm::cli
