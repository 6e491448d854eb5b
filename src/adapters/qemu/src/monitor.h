#pragma once

#include "vmm/base/task.h"
#include "vmm/json/value.h"

#include <boost/asio/local/stream_protocol.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace vmm::qemu {

// A QMP connection: commands with deadlines, matched to their answers by id, and events as they come. Reads
// as long as it is open, so it never makes QEMU wait. Used on one single-threaded executor; keep it in a
// shared_ptr.
class Monitor : public std::enable_shared_from_this<Monitor> {
public:
    using OnEvent = std::function<void(const std::string& name, const json::Value& data)>;

    // Connects, awaits the greeting and negotiates. unavailable, timed_out.
    static Task<std::shared_ptr<Monitor>>
    connect(std::filesystem::path socket, OnEvent on_event, std::chrono::milliseconds limit);

    Monitor(asio::any_io_executor executor, OnEvent on_event);

    // The value of "return". `arguments` is a JSON object or empty. unavailable with QEMU's own words,
    // timed_out.
    Task<json::Value> execute(std::string command, std::string arguments, std::chrono::milliseconds limit);

    // Gives QEMU a copy of the descriptor under this name.
    Task<void> give(std::string name, int descriptor, std::chrono::milliseconds limit);

    void close();

private:
    struct Waiter {
        explicit Waiter(asio::any_io_executor executor) : timer{std::move(executor)} {}

        asio::steady_timer timer;
        Result<json::Value> answer = fail(Code::timed_out, "QEMU did not answer in time");
    };

    Task<json::Value> answer_to(std::int64_t id, std::chrono::milliseconds limit, std::string command);
    asio::awaitable<void> read();
    void take(const std::string& line);
    Task<void> wait_for_greeting(std::chrono::milliseconds limit);

    asio::local::stream_protocol::socket socket_;
    OnEvent on_event_;
    std::map<std::int64_t, std::shared_ptr<Waiter>> waiting_;
    std::int64_t last_id_ = 0;
    bool open_ = false;
};

// One line that QEMU sent, told apart. Exposed for tests.
struct QmpLine {
    enum class Kind : std::uint8_t { greeting, answer, event, junk };
    Kind kind = Kind::junk;
    std::int64_t id = 0;
    std::string event;
    json::Value data;
    std::string error;  // QEMU's description; empty for a success
};

QmpLine read_qmp_line(std::string_view line);

}  // namespace vmm::qemu
