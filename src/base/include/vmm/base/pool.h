#pragma once

#include "vmm/base/task.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>

#include <type_traits>
#include <utility>

namespace vmm {

// A few threads for what blocks: hashing, copying, reading directories. Whoever awaits comes back on the
// executor that it came from. Destroying the pool waits for the work that has begun.
class Pool {
public:
    explicit Pool(std::size_t threads) : threads_{threads} {}

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    ~Pool() { threads_.join(); }

    [[nodiscard]] asio::thread_pool::executor_type executor() { return threads_.get_executor(); }

private:
    asio::thread_pool threads_;
};

namespace detail {

template <class Work>
std::invoke_result_t<Work> as_coroutine_result(Work& work) {
    return work();
}

template <class Value, class Work>
Task<Value> do_work(Work work) {
    co_return as_coroutine_result(work);
}

}  // namespace detail

// Runs `work`, which returns a Result, on the pool.
template <class Work>
auto blocking(Pool& pool, Work work) -> Task<typename std::invoke_result_t<Work>::value_type> {
    using Value = typename std::invoke_result_t<Work>::value_type;
    auto task = detail::do_work<Value, Work>(std::move(work));
    co_return co_await asio::co_spawn(pool.executor(), std::move(task), asio::use_awaitable);
}

}  // namespace vmm
