#include "vmm/base/process.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <thread>
#include <vector>

#include "accelerator.h"
#include "lapic.h"
#include "machine_process.h"
#include "vmm_test/run.h"

namespace vmm::qemu {
namespace {

std::string run_shell(const std::string& script) {
    std::vector<std::string> arguments{"-c", script};
    auto output = test::run(output_of("/bin/sh", std::move(arguments), std::chrono::seconds{10}));
    return output ? *output : "failed: " + output.error().message();
}

TEST(Spawn, GivesTheChildItsDescriptorsAndNothingElse) {
    const Fd secret{::open("/etc/passwd", O_RDONLY)};  // not close-on-exec, as by a careless library
    ASSERT_GE(secret.get(), 3);
    EXPECT_EQ(run_shell("ls /proc/self/fd | tr '\\n' ' '").substr(0, 8), "0 1 2 3 ")
        << "3 is the listing's own";
}

TEST(Spawn, GivesTheChildASessionAndAnEmptyEnvironment) {
    EXPECT_EQ(run_shell("[ $$ = $(ps -o sid= -p $$ | tr -d ' ') ] && echo leader"), "leader\n");
    EXPECT_EQ(run_shell("env | cut -d= -f1 | sort | tr '\\n' ' '"), "LC_ALL PATH PWD ");
}

TEST(Spawn, SaysThatAProgramIsMissing) {
    EXPECT_EQ(spawn("/nonexistent", {}, 1, {}).error().slug(), "program-missing");
    EXPECT_EQ(spawn("/etc/passwd", {}, 1, {}).error().slug(), "program-missing");
    EXPECT_EQ(spawn("/tmp", {}, 1, {}).error().slug(), "program-missing");
}

TEST(OutputOf, EndsAProgramThatTakesTooLong) {
    std::vector<std::string> arguments{"60"};
    const auto late = test::run(output_of("/bin/sleep", std::move(arguments), std::chrono::milliseconds{50}));
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code(), Code::timed_out);
}

TEST(Reap, TellsExitFromSignal) {
    const Fd null{::open("/dev/null", O_WRONLY | O_CLOEXEC)};
    const auto ended = [&](const std::vector<std::string>& arguments) {
        const auto process = spawn("/bin/sh", arguments, null.get(), {});
        std::optional<Exit> exit;
        while (!(exit = reap(*process))) {
            std::this_thread::yield();
        }
        return *exit;
    };
    EXPECT_EQ(ended({"-c", "exit 7"}).value, 7);
    const auto killed = ended({"-c", "kill -9 $$"});
    EXPECT_TRUE(killed.by_signal);
    EXPECT_EQ(killed.value, SIGKILL);
}

struct Sleeper {
    Sleeper()
        : process{*spawn("/bin/sleep", {"60"}, Fd{::open("/dev/null", O_WRONLY | O_CLOEXEC)}.get(), {})} {}

    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;

    ~Sleeper() {
        kill(process);
        while (!reap(process)) {
            std::this_thread::yield();
        }
    }

    Process process;
};

TEST(GoneWithin, SeesAnEndAndALimit) {
    const Sleeper sleeper;
    asio::io_context loop;
    std::vector<bool> gone;
    const auto look = [&]() -> asio::awaitable<void> {
        gone.push_back(co_await gone_within(sleeper.process, std::chrono::milliseconds{20}));
        kill(sleeper.process);
        gone.push_back(co_await gone_within(sleeper.process, std::chrono::seconds{60}));
    };
    asio::co_spawn(loop, look(), asio::detached);
    loop.run();
    EXPECT_EQ(gone, (std::vector{false, true}));
}

// What the event loop has just learned of a descriptor that is closed thereupon, it tells the one that is
// opened next.
TEST(GoneWithin, IsNotMisledByANeighbourThatCloses) {
    const Sleeper sleeper;
    asio::io_context loop;
    using Socket = asio::local::stream_protocol::socket;
    Socket first{loop};
    Socket first_peer{loop};
    Socket second{loop};
    Socket second_peer{loop};
    asio::local::connect_pair(first, first_peer);
    asio::local::connect_pair(second, second_peer);
    std::array<char, 1> byte{};
    std::array<char, 1> ignored{};
    second.async_read_some(asio::buffer(ignored), [](const boost::system::error_code&, std::size_t) {});
    bool gone = true;
    const auto look = [&]() -> asio::awaitable<void> {
        co_await first.async_read_some(asio::buffer(byte), as_value);
        second.close();
        gone = co_await gone_within(sleeper.process, std::chrono::milliseconds{50});
    };
    asio::co_spawn(loop, look(), asio::detached);
    loop.poll();  // both wait now
    asio::write(first_peer, asio::buffer(byte));
    asio::write(second_peer, asio::buffer(byte));
    loop.run();
    EXPECT_FALSE(gone);
}

TEST(Accelerator, IsKvmOnlyWhereTheProcessorVirtualises) {
    const auto chosen = choose_accelerator();
    EXPECT_FALSE(chosen.reason.empty());
    std::ifstream info{"/proc/cpuinfo"};
    const std::string text{std::istreambuf_iterator<char>{info}, {}};
    if (text.find(" vmx ") == std::string::npos && text.find(" svm ") == std::string::npos) {
        EXPECT_EQ(chosen.name, "tcg");
    }
}

TEST(Tsc, IsMeasuredOnceAndPlausible) {
    const auto khz = tsc_khz();
    ASSERT_TRUE(khz);
    EXPECT_GT(*khz, 500'000U);
    EXPECT_LT(*khz, 10'000'000U);
    EXPECT_EQ(khz, tsc_khz());
}

// As QEMU 7.2 shows it.
TEST(Lapic, IsToldWhenLinuxHasGivenItUp) {
    const std::string rest = "ISR\t (none)\n";
    const auto text = [&rest](std::string_view state, std::string_view count) {
        return "dumping local APIC state for CPU 0 \n\nLVT0\t 0x00010700 active-hi edge  masked       Fixed  "
               "(vec 0)\n"
               "LVTTHMR\t 0x00010000 active-hi edge  masked    Fixed  (vec 0)\nLVTT\t 0x000300ec active-hi "
               "edge  " +
               std::string{state} +
               "   periodic     Fixed  (vec 236)\nTimer\t DCR=0x3 (divide by 16) initial_count = " +
               std::string{count} + " current_count = 178009142\n" + rest;
    };
    EXPECT_TRUE(left_in_calibration(text("masked", "268435455")));
    EXPECT_FALSE(left_in_calibration(text("      ", "268435455")));
    EXPECT_FALSE(left_in_calibration(text("masked", "0"))) << "a guest that sleeps with nothing to wait for";
    EXPECT_FALSE(left_in_calibration(""));
}

}  // namespace
}  // namespace vmm::qemu
