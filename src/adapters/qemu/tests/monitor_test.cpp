#include "monitor.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <filesystem>

#include "vmm_test/lines.h"
#include "vmm_test/run.h"

namespace vmm::qemu {
namespace {

using Local = asio::local::stream_protocol;
using namespace std::chrono_literals;

// Plays QEMU's part: sends `greeting`, then answers each command line with what `answer` makes of it.
class FakeQemu {
public:
    FakeQemu() {
        char name[] = "/tmp/vmm-qmp-XXXXXX";
        folder_ = mkdtemp(name);
    }

    ~FakeQemu() { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::filesystem::path socket() const { return folder_ / "qmp.sock"; }

    asio::awaitable<void> serve(std::string greeting, std::function<std::string(std::string)> answer) {
        Local::acceptor acceptor{co_await asio::this_coro::executor, Local::endpoint{socket().string()}};
        auto [failed, client] = co_await acceptor.async_accept(as_value);
        co_await asio::async_write(client, asio::buffer(greeting), as_value);
        co_await test::answer_lines(std::move(client), std::move(answer));
    }

private:
    std::filesystem::path folder_;
};

std::string id_of(const std::string& line) {
    return line.substr(line.find("\"id\":") + 5, line.rfind('}') - line.find("\"id\":") - 5);
}

constexpr auto greeting = "{\"QMP\": {}}\r\n";

// Connects, runs one command, and gives its answer.
Result<json::Value> converse(
    std::string hello,
    std::function<std::string(std::string)> answer,
    std::vector<std::string>* events = nullptr
) {
    FakeQemu qemu;
    asio::io_context loop;
    asio::co_spawn(loop, qemu.serve(std::move(hello), std::move(answer)), asio::detached);
    std::optional<Result<json::Value>> out;
    const auto talk = [](std::filesystem::path where, std::vector<std::string>* heard) -> Task<json::Value> {
        Monitor::OnEvent on_event = [heard](const std::string& name, const json::Value&) {
            if (heard != nullptr) {
                heard->push_back(name);
            }
        };
        CO_TRY(const auto monitor, co_await Monitor::connect(std::move(where), std::move(on_event), 200ms));
        auto answered = co_await monitor->execute("query-status", "", 200ms);
        monitor->close();
        co_return answered;
    };
    asio::co_spawn(
        loop,
        talk(qemu.socket(), events),
        [&out](const std::exception_ptr&, Result<json::Value> result) { out = std::move(result); }
    );
    loop.run();
    return *std::move(out);
}

std::string good(const std::string& line) {
    return "{\"return\": {\"status\": \"running\"}, \"id\": " + id_of(line) + "}\r\n";
}

TEST(Monitor, MatchesAnswersByIdAmongEvents) {
    std::vector<std::string> events;
    const auto answer = converse(
        greeting,
        [](const std::string& line) {
            return "{\"event\": \"STOP\"}\r\n{\"return\": {}, \"id\": 999}\r\nnot json\r\n" + good(line);
        },
        &events
    );
    ASSERT_TRUE(answer) << answer.error().message();
    EXPECT_EQ(answer->text_or("status", ""), "running");
    EXPECT_EQ(events, (std::vector<std::string>{"STOP", "STOP"}));
}

TEST(Monitor, PassesQemusRefusalOn) {
    const auto answer = converse(greeting, [](const std::string& line) {
        return line.contains("capabilities")
                   ? good(line)
                   : "{\"error\": {\"desc\": \"no such thing\"}, \"id\": " + id_of(line) + "}\r\n";
    });
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().slug(), "qemu-refused");
    EXPECT_EQ(answer.error().message(), "QEMU's query-status: no such thing");
}

TEST(Monitor, GivesUpAfterTheDeadline) {
    const auto silent = converse(greeting, [](const std::string& line) {
        return line.contains("capabilities") ? good(line) : "";
    });
    EXPECT_EQ(silent.error().code(), Code::timed_out);
    EXPECT_EQ(converse("", good).error().code(), Code::timed_out) << "no greeting";
}

TEST(Monitor, SaysThatTheConnectionClosed) {
    const auto gone = converse(greeting, [](const std::string& line) {
        return line.contains("capabilities") ? good(line) : "close";
    });
    EXPECT_EQ(gone.error().slug(), "monitor-gone");
}

TEST(QmpLine, TellsJunkApart) {
    for (const auto* line : {"", "[]", "1", "{}", "{\"id\": 1}", "\xff"}) {
        EXPECT_EQ(read_qmp_line(line).kind, QmpLine::Kind::junk) << line;
    }
}

}  // namespace
}  // namespace vmm::qemu
