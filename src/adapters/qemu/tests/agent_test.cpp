#include "agent.h"

#include "vmm/json/value.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "vmm_test/lines.h"

namespace vmm::qemu {
namespace {

using Local = asio::local::stream_protocol;
using namespace std::chrono_literals;

// A guest whose agent refuses, once frozen, what QEMU's refuses. It hears one connection at a time.
class FakeGuest {
public:
    explicit FakeGuest(asio::io_context& loop) : acceptor_{loop, Local::endpoint{socket().string()}} {
        asio::co_spawn(loop, serve(), asio::detached);
    }

    ~FakeGuest() { std::filesystem::remove_all(folder_); }

    [[nodiscard]] std::filesystem::path socket() const { return folder_ / "agent.sock"; }

    [[nodiscard]] bool marked() const { return std::filesystem::exists(folder_ / "frozen"); }

    bool frozen = false;
    int deaf = 0;  // so many questions stay without an answer
    bool without_freeze = false;
    std::vector<std::string> heard;

    void leave() { acceptor_.close(); }

private:
    asio::awaitable<void> serve() {
        while (true) {
            auto [failed, client] = co_await acceptor_.async_accept(as_value);
            if (failed) {
                co_return;
            }
            std::function<std::string(std::string)> reply = [this](std::string line) {
                return answer(std::move(line));
            };
            co_await test::answer_lines(std::move(client), std::move(reply));
        }
    }

    std::string answer(std::string line) {
        std::erase(line, '\xff');
        const auto value = json::parse(line);
        const auto command = value->text_or("execute", "");
        if (command == "guest-sync-delimited") {
            const auto at = line.find("\"id\":") + 5;
            return "{\"return\":" + line.substr(at, line.find('}') - at) + "}\n";
        }
        heard.emplace_back(command);
        const bool refuses = frozen ? command != "guest-ping" && command != "guest-fsfreeze-thaw"
                                    : without_freeze && command == "guest-fsfreeze-freeze";
        if (command == "guest-fsfreeze-freeze" && !refuses) {
            frozen = true;
        }
        if (deaf > 0) {
            --deaf;
            return "";
        }
        if (command == "guest-fsfreeze-thaw") {
            frozen = false;
        }
        if (refuses) {
            return "{\"error\":{\"desc\":\"disabled\"}}\n";
        }
        return command == "guest-exec" ? "{\"return\":{\"pid\":7}}\n" : "{\"return\":{}}\n";
    }

    static std::filesystem::path new_folder() {
        char name[] = "/tmp/vmm-agent-XXXXXX";
        return mkdtemp(name);
    }

    std::filesystem::path folder_ = new_folder();
    Local::acceptor acceptor_;
};

class AgentTest : public testing::Test {
protected:
    std::shared_ptr<Agent> connect() {
        auto agent = std::make_shared<Agent>(loop_.get_executor(), guest_.socket());
        return agents_.emplace_back(std::move(agent));
    }

    void run(std::function<asio::awaitable<void>()> script) {
        bool done = false;
        asio::co_spawn(
            loop_,
            [&]() -> asio::awaitable<void> {
                co_await script();
                done = true;
                for (const auto& agent : agents_) {
                    agent->close();
                }
                guest_.leave();
            },
            asio::detached
        );
        loop_.run_for(60s);
        EXPECT_TRUE(done);
    }

    asio::io_context loop_;
    FakeGuest guest_{loop_};
    std::vector<std::shared_ptr<Agent>> agents_;
};

std::vector<std::string> program() {
    return std::vector<std::string>{"/bin/true"};
}

TEST_F(AgentTest, WhatIsAskedDuringAFreezeWaitsForItsEnd) {
    const auto agent = connect();
    std::optional<Result<std::int64_t>> said;
    run([&]() -> asio::awaitable<void> {
        EXPECT_TRUE(co_await agent->freeze());
        EXPECT_TRUE(guest_.frozen && agent->frozen() && guest_.marked());
        asio::co_spawn(
            loop_, [&]() -> asio::awaitable<void> { said = co_await agent->exec(program()); }, asio::detached
        );
        co_await pause_for(50ms);
        EXPECT_FALSE(said);
        EXPECT_TRUE(co_await agent->thaw());
        EXPECT_FALSE(guest_.frozen || agent->frozen() || guest_.marked());
        while (!said) {
            co_await pause_for(1ms);
        }
        EXPECT_TRUE(*said);
        // To thaw what is not frozen asks nothing.
        guest_.heard.clear();
        EXPECT_TRUE(co_await agent->thaw());
        EXPECT_TRUE(guest_.heard.empty());
    });
}

TEST_F(AgentTest, WhoeverTakesAFrozenGuestOverThawsItBeforeItAsks) {
    run([&]() -> asio::awaitable<void> {
        const auto first = connect();
        EXPECT_TRUE(co_await first->freeze());
        first->close();
        EXPECT_TRUE(guest_.marked());
        const auto next = connect();
        EXPECT_TRUE(next->frozen());
        guest_.heard.clear();
        EXPECT_TRUE(co_await next->exec(program()));
        EXPECT_EQ(guest_.heard, (std::vector<std::string>{"guest-fsfreeze-thaw", "guest-exec"}));
        EXPECT_FALSE(guest_.marked() || connect()->frozen());
    });
}

TEST_F(AgentTest, AFrozenGuestIsFrozenAnew) {
    run([&]() -> asio::awaitable<void> {
        const auto first = connect();
        EXPECT_TRUE(co_await first->freeze());
        first->close();
        const auto next = connect();
        EXPECT_TRUE(co_await next->freeze());
        EXPECT_TRUE(guest_.frozen && guest_.marked());
        EXPECT_TRUE(co_await next->thaw());
        EXPECT_FALSE(guest_.frozen || guest_.marked());
    });
}

TEST_F(AgentTest, AGuestTooSlowToAnswerIsThawedLater) {
    run([&]() -> asio::awaitable<void> {
        const auto first = connect();
        EXPECT_TRUE(co_await first->freeze());
        first->close();
        const auto agent = connect();
        guest_.deaf = 1;
        const auto unheard = co_await agent->ping(100ms);
        EXPECT_FALSE(unheard);
        EXPECT_EQ(unheard.error().slug(), "no-agent");
        EXPECT_TRUE(guest_.frozen && agent->frozen() && guest_.marked());
        EXPECT_TRUE(co_await agent->thaw());
        EXPECT_FALSE(guest_.frozen || agent->frozen() || guest_.marked());
    });
}

TEST_F(AgentTest, AnAgentThatCannotFreezeLeavesNothing) {
    guest_.without_freeze = true;
    run([&]() -> asio::awaitable<void> {
        const auto agent = connect();
        const auto refused = co_await agent->freeze();
        EXPECT_FALSE(refused);
        EXPECT_EQ(refused.error().slug(), "agent-refused");
        EXPECT_FALSE(agent->frozen() || guest_.marked());
        EXPECT_TRUE(co_await agent->exec(program()));
    });
}

TEST_F(AgentTest, AFreezeEndsWithTheGuest) {
    run([&]() -> asio::awaitable<void> {
        const auto agent = connect();
        EXPECT_TRUE(co_await agent->freeze());
        guest_.frozen = false;
        agent->reset();
        EXPECT_FALSE(agent->frozen() || guest_.marked());
        guest_.heard.clear();
        EXPECT_TRUE(co_await agent->thaw());
        EXPECT_TRUE(guest_.heard.empty());
        EXPECT_TRUE(co_await agent->exec(program()));
    });
}

}  // namespace
}  // namespace vmm::qemu
