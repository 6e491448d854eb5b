#pragma once

#include "vmm/base/task.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <functional>
#include <string>

namespace vmm::test {

// Answers each line of a client with what `answer` makes of it, until the client goes or the answer is
// "close".
inline asio::awaitable<void>
answer_lines(asio::local::stream_protocol::socket client, std::function<std::string(std::string)> answer) {
    std::string buffer;
    while (true) {
        const auto [ended, count] =
            co_await asio::async_read_until(client, asio::dynamic_buffer(buffer), '\n', as_value);
        if (ended) {
            break;
        }
        const auto reply = answer(buffer.substr(0, count));
        buffer.erase(0, count);
        if (reply == "close") {
            break;
        }
        co_await asio::async_write(client, asio::buffer(reply), as_value);
    }
}

}  // namespace vmm::test
