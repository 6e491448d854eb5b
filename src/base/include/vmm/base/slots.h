#pragma once

#include "vmm/base/task.h"

#include <boost/asio/any_io_executor.hpp>

#include <deque>
#include <memory>
#include <utility>

namespace vmm {

// A number of places that coroutines take turns in, first come first served; with one place, a mutex. Unlike
// a lock it may be held across co_await. Used on one single-threaded executor, and outlived by nobody who
// waits.
class Slots {
public:
    // One place, given back when destroyed.
    class Held {
    public:
        explicit Held(Slots* owner) : owner_{owner} {}

        Held(Held&& other) noexcept : owner_{std::exchange(other.owner_, nullptr)} {}

        Held& operator=(Held&&) = delete;

        ~Held() {
            if (owner_ != nullptr) {
                owner_->give_back();
            }
        }

    private:
        Slots* owner_;
    };

    explicit Slots(std::size_t places) : free_{places} {}

    [[nodiscard]] std::size_t waiting() const { return queue_.size(); }

    asio::awaitable<Held> take() {
        if (free_ > 0 && queue_.empty()) {
            --free_;
            co_return Held{this};
        }
        auto turn = std::make_shared<asio::steady_timer>(
            co_await asio::this_coro::executor, asio::steady_timer::time_point::max()
        );
        queue_.push_back(turn);
        co_await turn->async_wait(as_value);
        co_return Held{this};
    }

private:
    void give_back() {
        if (queue_.empty()) {
            ++free_;
            return;
        }
        // The place goes straight to the next in line.
        queue_.front()->expires_at(asio::steady_timer::time_point::min());
        queue_.pop_front();
    }

    std::size_t free_;
    std::deque<std::shared_ptr<asio::steady_timer>> queue_;
};

}  // namespace vmm
