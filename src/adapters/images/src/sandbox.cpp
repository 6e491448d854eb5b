#include "sandbox.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <thread>

namespace vmm::images {
namespace {

namespace fs = std::filesystem;

// Not used by Debian, systemd or the ranges of containers.
constexpr unsigned jail_user = 60903;
constexpr std::uint64_t memory_limit = 3ULL << 30;
constexpr std::size_t most_output = 64 << 10;
constexpr int jail_failed = 125;

fs::path jail_program(const Settings& settings) {
    if (!settings.jail.empty()) {
        return settings.jail;
    }
    std::error_code failed;
    const auto here = fs::read_symlink("/proc/self/exe", failed).parent_path();
    for (const auto& path : {here / "vmm-jail", here / "../libexec/vmm-service/vmm-jail"}) {
        if (::access(path.c_str(), X_OK) == 0) {
            return path;
        }
    }
    return {};
}

std::vector<std::string> command(const Settings& settings, const Confined& what, const fs::path& jail) {
    std::vector<std::string> words{jail.string()};
    const auto add = [&words](std::string option, std::string value) {
        words.push_back(std::move(option));
        words.push_back(std::move(value));
    };
    for (const auto& [name, path] : what.inputs) {
        add("--input", fs::absolute(path).string() + "=" + name);
    }
    add("--user", std::to_string(jail_user));
    add("--folder", what.work.string());
    add("--file-bytes", std::to_string(std::max<std::uint64_t>(what.most_bytes, 1)));
    add("--memory-bytes", std::to_string(memory_limit));
    add("--cpu-s", std::to_string(settings.time_limit.count()));
    add("--parent", std::to_string(::getpid()));
    add("--", settings.qemu_img.string());
    words.insert(words.end(), what.arguments.begin(), what.arguments.end());
    return words;
}

// A child with one pipe for all that it prints.
struct Child {
    pid_t pid = 0;
    Fd output;
};

Result<Child> start(std::vector<std::string> words) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        return fail(os_error("making a pipe"));
    }
    Child child{0, Fd{ends[0]}};
    const Fd writer{ends[1]};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, writer.get(), 1);
    posix_spawn_file_actions_adddup2(&actions, writer.get(), 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t signals;
    sigemptyset(&signals);
    posix_spawnattr_setsigmask(&attributes, &signals);
    sigfillset(&signals);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    std::array<char*, 1> environment{nullptr};
    const int failed =
        ::posix_spawn(&child.pid, argv[0], &actions, &attributes, argv.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed != 0) {
        return fail(os_error("starting vmm-jail", failed));
    }
    return child;
}

// "(12.34/100%)" as qemu-img -p prints it.
void follow(std::string_view printed, const ProgressView& progress) {
    const auto open = printed.rfind('(');
    if (!progress || open == std::string_view::npos) {
        return;
    }
    const auto percent =
        parse_number<std::uint64_t>(printed.substr(open + 1, printed.find('.', open) - open - 1));
    if (percent) {
        progress->total = 100;
        progress->done = *percent;
    }
}

// What is left of the output without the percentages.
std::string words_of(const std::string& printed) {
    std::string out;
    for (const auto& line : split(printed, '\n')) {
        const auto last = line.substr(line.rfind('\r') == std::string::npos ? 0 : line.rfind('\r') + 1);
        if (!trim(last).empty() && !last.contains("/100%)")) {
            out.append(out.empty() ? "" : "; ").append(trim(last));
        }
    }
    return out.substr(0, 500);
}

Error explained(int status, const std::string& printed) {
    const auto words = words_of(printed);
    if (WIFEXITED(status) && WEXITSTATUS(status) == jail_failed) {
        return Error{Code::unavailable, "the sandbox for images cannot be set up: " + words}
            .with_slug("sandbox-failed")
            .with_hint("the service must run as root and be allowed to make namespaces");
    }
    if (words.contains("No space left on device")) {
        return Error{Code::unavailable, "the host's disk is full"}.with_slug("no-space");
    }
    if (words.contains("File too large") || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ)) {
        return Error{Code::too_large, "the image unpacks to more than it may"}
            .with_slug("image-over-quota")
            .with_field("image");
    }
    if (WIFSIGNALED(status)) {
        return Error{
            Code::invalid,
            "qemu-img ended by signal " + std::to_string(WTERMSIG(status)) + " while it read the image"
        }
            .with_slug("image-corrupt")
            .with_field("image");
    }
    return Error{Code::invalid, "qemu-img cannot read it: " + words}
        .with_slug("image-corrupt")
        .with_field("image");
}

}  // namespace

Result<std::string>
run_confined(const Settings& settings, const Confined& what, const ProgressView& progress) {
    const auto jail = jail_program(settings);
    if (jail.empty()) {
        return fail(Error{Code::unavailable, "the program vmm-jail is missing beside vmm-service"}.with_slug(
            "sandbox-failed"
        ));
    }
    if (::access(settings.qemu_img.c_str(), X_OK) != 0) {
        return fail(Error{Code::unavailable, "the program qemu-img is missing"}
                        .with_slug("qemu-img-missing")
                        .with_hint("install qemu-utils"));
    }
    if (::chown(what.work.c_str(), jail_user, jail_user) != 0) {
        return fail(os_error("giving the sandbox its folder"));
    }
    TRY(const auto child, start(command(settings, what, jail)));
    const auto until = std::chrono::steady_clock::now() + settings.time_limit;
    std::string printed;
    std::optional<Error> ended;
    std::array<char, 4096> block{};
    while (true) {
        pollfd waiting{child.output.get(), POLLIN, 0};
        const int ready = ::poll(&waiting, 1, 100);
        if (ready > 0) {
            const auto got = ::read(child.output.get(), block.data(), block.size());
            if (got <= 0) {
                break;
            }
            printed.append(block.data(), static_cast<std::size_t>(got));
            follow(printed, progress);
            if (printed.size() > most_output) {
                printed.erase(0, printed.size() - most_output / 2);
            }
        }
        if (!ended && progress && progress->unwanted) {
            ended = Error{Code::cancelled, "cancelled"};
        } else if (!ended && std::chrono::steady_clock::now() > until) {
            ended = Error{
                Code::timed_out,
                "qemu-img took longer than " + std::to_string(settings.time_limit.count()) + " s"
            };
        }
        if (ended) {
            ::kill(child.pid, SIGKILL);
        }
    }
    int status = 0;
    while (::waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (ended) {
        return fail(*std::move(ended));
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return fail(explained(status, printed));
    }
    return printed;
}

Result<void> take_back(const fs::path& file) {
    if (::chown(file.c_str(), ::geteuid(), ::getegid()) != 0 || ::chmod(file.c_str(), 0600) != 0) {
        return fail(os_error("taking a converted image back"));
    }
    return {};
}

}  // namespace vmm::images
