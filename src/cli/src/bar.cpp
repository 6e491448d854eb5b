#include "bar.h"

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

#include "terminal.h"

namespace vmm::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t width = 24;

double seconds_since(Clock::time_point began) {
    return std::max(1e-3, std::chrono::duration<double>(Clock::now() - began).count());
}

void draw(const std::string& what, const Progress& progress, Clock::time_point began) {
    const auto done = progress.done.load();
    const auto total = progress.total.load();
    std::string bar;
    if (total > 0) {
        const auto filled = static_cast<std::size_t>(std::min<std::uint64_t>(width, done * width / total));
        bar = "[" + std::string(filled, '=') + std::string(width - filled, ' ') + "] " +
              std::to_string(progress.percent()) + " % ";
    }
    const auto rate = static_cast<std::uint64_t>(static_cast<double>(done) / seconds_since(began));
    std::fprintf(
        stderr, "\r\033[K%s %s%s, %s/s", what.c_str(), bar.c_str(), amount(done).c_str(), amount(rate).c_str()
    );
    std::fflush(stderr);
}

}  // namespace

std::string amount(std::uint64_t bytes) {
    static constexpr std::array units{"B", "KiB", "MiB", "GiB", "TiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < units.size(); ++unit) {
        value /= 1024;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text.data();
}

Result<void> with_bar(const std::string& what, const std::function<Result<void>(const ProgressView&)>& work) {
    const auto progress = std::make_shared<Progress>();
    const auto began = Clock::now();
    std::mutex mutex;
    std::condition_variable ended;
    bool over = false;
    Result<void> result;
    {
        const std::jthread worker{[&] {
            result = work(progress);
            const std::lock_guard lock{mutex};
            over = true;
            ended.notify_all();
        }};
        std::unique_lock lock{mutex};
        while (!ended.wait_for(lock, 100ms, [&over] { return over; })) {
            if (on_terminal(2)) {
                draw(what, *progress, began);
            }
        }
    }
    const auto done = progress->done.load();
    if (on_terminal(2)) {
        std::fputs("\r\033[K", stderr);
    }
    if (result && done > 0) {
        const auto took = seconds_since(began);
        std::fprintf(
            stderr,
            "%s: %s in %.1f s, %s/s\n",
            what.c_str(),
            amount(done).c_str(),
            took,
            amount(static_cast<std::uint64_t>(static_cast<double>(done) / took)).c_str()
        );
    }
    return result;
}

}  // namespace vmm::cli
