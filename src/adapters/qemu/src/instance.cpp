#include "instance.h"

#include "vmm/base/text.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <spdlog/spdlog.h>

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "lapic.h"

namespace vmm::qemu {
namespace {

using namespace std::chrono_literals;

constexpr auto command_limit = 10s;
constexpr auto quit_limit = 1s;
constexpr auto kill_limit = 10s;
constexpr auto end_limit = 200ms;

// The last line that QEMU wrote, for reasons.
std::string last_words(const std::filesystem::path& folder) {
    const auto log = read_file(folder / "qemu.log", 1 << 20);
    if (!log) {
        return {};
    }
    const auto text = trim(*log);
    const auto at = text.rfind('\n');
    return std::string{text.substr(at == std::string_view::npos ? 0 : at + 1).substr(0, 300)};
}

std::string describe(const Exit& exit, const std::filesystem::path& folder) {
    const auto words = last_words(folder);
    const std::string said = words.empty() ? "" : ": " + words;
    if (!exit.by_signal) {
        return "QEMU exited with status " + std::to_string(exit.value) + said;
    }
    const char* known = sigdescr_np(exit.value);
    const std::string which =
        std::to_string(exit.value) + " (" + (known == nullptr ? "unknown" : known) + ")";
    const bool crash = exit.value == SIGSEGV || exit.value == SIGABRT || exit.value == SIGBUS ||
                       exit.value == SIGILL || exit.value == SIGFPE || exit.value == SIGSYS;
    if (crash) {
        return "QEMU crashed with signal " + which + said;
    }
    return "QEMU was killed by signal " + which +
           ", from outside the service or by the kernel for lack of memory";
}

}  // namespace

QemuInstance::QemuInstance(
    asio::any_io_executor executor,
    Process process,
    std::filesystem::path folder,
    ports::Events events,
    bool child
)
    : executor_{executor},
      process_{std::move(process)},
      folder_{std::move(folder)},
      events_{std::move(events)},
      child_{child},
      gone_{executor, asio::steady_timer::time_point::max()},
      happened_{executor, asio::steady_timer::time_point::max()} {}

QemuInstance::~QemuInstance() {
    if (monitor_) {
        monitor_->close();
    }
    if (console_) {
        console_->close();
    }
    if (agent_) {
        agent_->close();
    }
}

Task<void> QemuInstance::connect(std::chrono::milliseconds limit, std::size_t console_log_bytes) {
    const std::weak_ptr<QemuInstance> weak = weak_from_this();
    Monitor::OnEvent on_event = [weak](const std::string& name, const json::Value& data) {
        if (const auto self = weak.lock()) {
            self->on_event(name, data);
        }
    };
    // Watched from the start, so that a process that dies at once is reaped too. Holds its own share of the
    // instance.
    asio::co_spawn(executor_, [self = shared_from_this()] { return self->watch(); }, asio::detached);
    auto monitor = co_await Monitor::connect(folder_ / "qmp.sock", std::move(on_event), limit);
    if (!monitor) {
        auto error = std::move(monitor).error();
        // A monitor that closes is one whose process ends.
        const bool ended = co_await gone_within(end_limit);
        if (child_ && !ended) {
            kill(process_);
            (void)co_await gone_within(kill_limit);
        }
        if (const auto words = last_words(folder_); !words.empty()) {
            error = Error{Code::unavailable, "QEMU said: " + words}.with_slug("qemu-failed");
        } else if (ended) {
            error = Error{Code::unavailable, end_reason_}.with_slug("qemu-failed");
        }
        co_return fail(std::move(error));
    }
    monitor_ = *std::move(monitor);
    console_ = std::make_shared<Console>(executor_, folder_, console_log_bytes, events_.said);
    CO_CHECK(co_await console_->open());
    connected_ = true;
    co_return Result<void>{};
}

Task<void> QemuInstance::verify(std::string uuid) {
    CO_TRY(const auto answer, co_await execute("query-uuid"));
    if (answer.text_or("UUID", "") != uuid) {
        co_return fail(Code::not_found, "the process is another machine's");
    }
    co_return Result<void>{};
}

Task<json::Value> QemuInstance::execute(std::string command, std::string arguments) {
    co_return co_await monitor_->execute(std::move(command), std::move(arguments), command_limit);
}

Task<void> QemuInstance::resume() {
    CO_CHECK(co_await execute("cont"));
    co_return Result<void>{};
}

Task<void> QemuInstance::pause() {
    CO_CHECK(co_await execute("stop"));
    co_return Result<void>{};
}

Task<void> QemuInstance::press_power_button() {
    CO_CHECK(co_await execute("system_powerdown"));
    co_return Result<void>{};
}

Task<ports::RunState> QemuInstance::state() {
    CO_TRY(const auto answer, co_await execute("query-status"));
    const auto status = answer.text_or("status", "");
    if (status == "shutdown") {
        guest_off_ = true;
        co_return ports::RunState::guest_off;
    }
    if (status == "io-error") {
        co_return ports::RunState::stalled;
    }
    const auto* running = answer.find("running");
    const auto* flag = running == nullptr ? nullptr : running->as<bool>();
    co_return flag != nullptr && *flag ? ports::RunState::running : ports::RunState::paused;
}

Task<bool> QemuInstance::timeless() {
    CO_TRY(const auto type, co_await execute("qom-get", R"({"path":"/machine","property":"type"})"));
    const auto* machine = type.as<std::string>();
    if (machine == nullptr || *machine != "microvm-machine") {
        co_return false;  // others have timers beside the processor's
    }
    // No command of QMP tells it.
    CO_TRY(const auto timer, co_await execute("human-monitor-command", R"({"command-line":"info lapic"})"));
    CO_TRY(
        const auto processor,
        co_await execute("human-monitor-command", R"({"command-line":"info registers"})")
    );
    const auto* lapic = timer.as<std::string>();
    const auto* registers = processor.as<std::string>();
    if (lapic == nullptr || registers == nullptr) {
        co_return false;
    }
    const bool asleep = registers->contains("HLT=1") && left_in_calibration(*lapic);
    co_return asleep;
}

Task<void> QemuInstance::reset() {
    CO_CHECK(co_await execute("system_reset"));
    co_return Result<void>{};
}

asio::awaitable<bool> QemuInstance::gone_within(std::chrono::milliseconds limit) {
    const auto self = shared_from_this();
    const auto until = std::chrono::steady_clock::now() + limit;
    while (!is_gone_ && std::chrono::steady_clock::now() < until) {
        asio::steady_timer timer{executor_, until};
        timer.async_wait([weak = weak_from_this()](const boost::system::error_code& stopped) {
            if (const auto alive = weak.lock(); alive && !stopped) {
                alive->gone_.cancel();
            }
        });
        co_await gone_.async_wait(as_value);
    }
    co_return is_gone_;
}

Task<void> QemuInstance::end() {
    const auto self = shared_from_this();
    asked_ = true;
    if (!is_gone_) {
        (void)co_await monitor_->execute("quit", "", quit_limit);
        if (!co_await gone_within(quit_limit)) {
            kill(process_);
        }
    }
    if (!co_await gone_within(kill_limit)) {
        co_return fail(
            Code::timed_out,
            "QEMU (process " + std::to_string(process_.pid) +
                ") does not die; the host's disk or memory may be stuck"
        );
    }
    co_return Result<void>{};
}

void QemuInstance::on_event(const std::string& name, const json::Value& data) {
    const auto reason = data.text_or("reason", "");
    if (name == "SHUTDOWN") {
        const auto* guest = data.find("guest");
        const auto* by_guest = guest == nullptr ? nullptr : guest->as<bool>();
        if (by_guest != nullptr && *by_guest) {
            guest_off_ = true;
            // -no-shutdown keeps the process; nothing is left for it to do.
            asio::co_spawn(
                executor_,
                [self = shared_from_this()]() -> asio::awaitable<Result<void>> { return self->end(); },
                asio::detached
            );
        } else if (reason == "host-signal") {
            signalled_ = true;
        }
    } else if (name == "BLOCK_IO_ERROR" && data.text_or("action", "") == "stop" && events_.stalled) {
        const auto* full = data.find("nospace");
        const auto* no_space = full == nullptr ? nullptr : full->as<bool>();
        events_.stalled(no_space != nullptr && *no_space ? "no-space" : "io-error");
    } else if (name == awaited_.event && data.text_or("device", data.text_or("id", "")) == awaited_.device) {
        awaited_.happened = true;
        awaited_.error = data.text_or("error", "");
        happened_.expires_at(asio::steady_timer::time_point::min());
    } else if (name == "RESET") {
        if (agent_) {
            agent_->reset();
        }
        if (reason == "guest-reset" && events_.reset) {
            events_.reset();
        }
    }
}

asio::awaitable<void> QemuInstance::watch() {
    const auto self = shared_from_this();
    co_await gone(process_);
    is_gone_ = true;
    auto ended = how_it_ended();
    end_reason_ = ended.reason;
    if (monitor_) {
        monitor_->close();
    }
    if (console_) {
        console_->close();
    }
    if (agent_) {
        agent_->close();
    }
    gone_.expires_at(asio::steady_timer::time_point::min());
    happened_.expires_at(asio::steady_timer::time_point::min());
    if (connected_ && events_.ended) {
        events_.ended(std::move(ended));
    }
}

ports::Ended QemuInstance::how_it_ended() const {
    using Cause = ports::Ended::Cause;
    const auto exit = reap(process_);
    if (guest_off_) {
        return {Cause::guest_off, "the guest turned itself off"};
    }
    if (asked_) {
        return {Cause::asked, ""};
    }
    if (signalled_) {
        return {Cause::broke, "QEMU was told to terminate by a signal from outside the service"};
    }
    if (exit) {
        return {Cause::broke, describe(*exit, folder_)};
    }
    const auto words = last_words(folder_);
    return {
        Cause::broke,
        "QEMU ended unexpectedly; how is not known, because an earlier run of the service had started it" +
            (words.empty() ? "" : "; its last words: " + words)
    };
}

}  // namespace vmm::qemu
