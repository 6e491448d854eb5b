#pragma once

#include "vmm/base/error.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace vmm {

namespace asio = boost::asio;

// A coroutine that ends in a value or an Error. The only place that names the coroutine library's type.
template <class T>
using Task = asio::awaitable<Result<T>>;

// Completion as a tuple that starts with the error code, so that I/O errors are values.
inline constexpr auto as_value = asio::as_tuple(asio::use_awaitable);

// Waits without blocking the thread.
inline asio::awaitable<void> pause_for(std::chrono::steady_clock::duration time) {
    asio::steady_timer timer{co_await asio::this_coro::executor, time};
    co_await timer.async_wait(as_value);
}

}  // namespace vmm
