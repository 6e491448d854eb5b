#include "vmm/base/process.h"

#include "vmm/base/text.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>

namespace vmm {
namespace {

namespace fs = std::filesystem;

// Above every descriptor number that a child receives, so that moving one never hits another.
constexpr int out_of_the_way = 64;

class Actions {
public:
    Actions() { posix_spawn_file_actions_init(&actions_); }

    Actions(const Actions&) = delete;
    Actions& operator=(const Actions&) = delete;

    ~Actions() { posix_spawn_file_actions_destroy(&actions_); }

    posix_spawn_file_actions_t* get() { return &actions_; }

private:
    posix_spawn_file_actions_t actions_{};
};

class Attributes {
public:
    Attributes() {
        posix_spawnattr_init(&attributes_);
        sigset_t signals;
        sigemptyset(&signals);
        posix_spawnattr_setsigmask(&attributes_, &signals);
        sigfillset(&signals);
        posix_spawnattr_setsigdefault(&attributes_, &signals);
        posix_spawnattr_setflags(
            &attributes_, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        );
    }

    Attributes(const Attributes&) = delete;
    Attributes& operator=(const Attributes&) = delete;

    ~Attributes() { posix_spawnattr_destroy(&attributes_); }

    posix_spawnattr_t* get() { return &attributes_; }

private:
    posix_spawnattr_t attributes_{};
};

int pidfd_open(pid_t pid) {
    return static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
}

// Asked whenever the event loop says so: it keeps what it knows of a descriptor in a record that the next one
// to be opened inherits, and with it, now and then, news of the one before. A read would find nothing and
// wait on; a bare wait ends.
bool has_ended(const Process& process) {
    pollfd state{process.pidfd.get(), POLLIN, 0};
    return ::poll(&state, 1, 0) > 0;
}

}  // namespace

Result<Process> spawn(
    const std::string& program,
    const std::vector<std::string>& arguments,
    int log,
    const std::vector<int>& descriptors
) {
    const auto path = find_program(program);
    if (path.empty()) {
        return fail(
            Error{Code::unavailable, "the program " + quote(program) + " is missing or cannot be executed"}
                .with_slug("program-missing")
        );
    }
    Actions actions;
    posix_spawn_file_actions_addopen(actions.get(), 0, "/dev/null", O_RDONLY, 0);
    std::vector<Fd> moved;
    const auto give = [&](int from, int to) {
        moved.emplace_back(fcntl(from, F_DUPFD_CLOEXEC, out_of_the_way));
        posix_spawn_file_actions_adddup2(actions.get(), moved.back().get(), to);
    };
    give(log, 1);
    give(log, 2);
    int next = 3;
    for (const int descriptor : descriptors) {
        give(descriptor, next++);
    }
    posix_spawn_file_actions_addchdir_np(actions.get(), "/");

    std::vector<std::string> words{program};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (auto& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    std::array<std::string, 2> environment{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
    std::array<char*, 3> envp{environment[0].data(), environment[1].data(), nullptr};

    // What a library has opened without the flag is not for others. Everything closes with the exec and not
    // before: the locks of the service hold until its child is what it is to be.
    ::close_range(3, std::numeric_limits<unsigned>::max(), CLOSE_RANGE_CLOEXEC);
    Attributes attributes;
    pid_t pid = 0;
    const int failed =
        posix_spawn(&pid, path.c_str(), actions.get(), attributes.get(), argv.data(), envp.data());
    if (failed != 0) {
        return fail(os_error("starting " + program, failed == ENOENT ? EACCES : failed));
    }
    return Process{pid, Fd{pidfd_open(pid)}};
}

Process open_process(pid_t pid) {
    return {pid, Fd{pidfd_open(pid)}};
}

std::optional<Exit> reap(const Process& process) {
    siginfo_t info{};
    if (waitid(
            static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(process.pidfd.get()), &info, WEXITED | WNOHANG
        ) != 0 ||
        info.si_pid == 0) {
        return std::nullopt;
    }
    return Exit{info.si_code != CLD_EXITED, info.si_status};
}

void kill(const Process& process) {
    (void)syscall(SYS_pidfd_send_signal, process.pidfd.get(), SIGKILL, nullptr, 0);
}

fs::path find_program(const std::string& program) {
    const auto usable = [](const fs::path& path) {
        std::error_code failed;
        return fs::is_regular_file(path, failed) && ::access(path.c_str(), X_OK) == 0;
    };
    if (program.contains('/')) {
        return usable(program) ? fs::path{program} : fs::path{};
    }
    const char* path =
        std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nothing here sets the environment
    for (const auto& folder : split(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
        if (usable(fs::path{folder} / program)) {
            return fs::path{folder} / program;
        }
    }
    return {};
}

asio::awaitable<bool> gone_within(const Process& process, std::chrono::milliseconds limit) {
    const auto executor = co_await asio::this_coro::executor;
    // Shared: the deadline may be on its way to the handler when the wait is over.
    const auto exit = std::make_shared<asio::posix::stream_descriptor>(executor, dup(process.pidfd.get()));
    asio::steady_timer deadline{executor, limit};
    deadline.async_wait([exit](const boost::system::error_code& stopped) {
        boost::system::error_code ignored;
        if (!stopped) {
            exit->cancel(ignored);
        }
    });
    while (!has_ended(process) && std::chrono::steady_clock::now() < deadline.expiry()) {
        co_await exit->async_wait(asio::posix::stream_descriptor::wait_read, as_value);
    }
    deadline.cancel();
    co_return has_ended(process);
}

asio::awaitable<void> gone(const Process& process) {
    asio::posix::stream_descriptor exit{co_await asio::this_coro::executor, dup(process.pidfd.get())};
    while (!has_ended(process)) {
        const auto [failed] = co_await exit.async_wait(asio::posix::stream_descriptor::wait_read, as_value);
        if (failed) {
            co_await pause_for(std::chrono::milliseconds{100});
        }
    }
}

Task<std::string>
output_of(std::string program, std::vector<std::string> arguments, std::chrono::milliseconds limit) {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        co_return fail(os_error("making a pipe"));
    }
    const auto executor = co_await asio::this_coro::executor;
    asio::posix::stream_descriptor reader{executor, ends[0]};
    Fd writer{ends[1]};
    CO_TRY(const auto process, spawn(program, arguments, writer.get(), {}));
    writer.reset();
    asio::steady_timer deadline{executor, limit};
    deadline.async_wait([pidfd = dup(process.pidfd.get())](const boost::system::error_code& stopped) {
        const Process same{0, Fd{pidfd}};
        if (!stopped) {
            kill(same);
        }
    });
    std::string output;
    std::array<char, 4096> block{};
    while (output.size() < (1U << 16)) {
        const auto [failed, count] = co_await reader.async_read_some(asio::buffer(block), as_value);
        if (failed) {
            break;
        }
        output.append(block.data(), count);
    }
    kill(process);
    const bool in_time = deadline.cancel() > 0;
    co_await gone(process);
    (void)reap(process);
    if (!in_time) {
        co_return fail(
            Code::timed_out, program + " did not answer within " + std::to_string(limit.count()) + " ms"
        );
    }
    co_return output;
}

}  // namespace vmm
