#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <optional>
#include <vector>

#include "agent.h"

namespace vmm::guest_agent {
namespace {

// How each program that was started has ended, once it has.
std::map<pid_t, std::optional<int>>& programs() {
    static std::map<pid_t, std::optional<int>> started;
    return started;
}

void look() {
    for (auto& [pid, status] : programs()) {
        int raw = 0;
        if (!status && ::waitpid(pid, &raw, WNOHANG) == pid) {
            status = raw;
        }
    }
}

}  // namespace

Outcome exec(const json::Value& arguments) {
    TRY(const auto path, text_in(arguments, "path"));
    std::vector<std::string> words{path};
    const auto* member = arguments.find("arg");
    const auto* list = member == nullptr ? nullptr : member->as<json::List>();
    for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
        const auto* word = (*list)[i].as<std::string>();
        words.push_back(word == nullptr ? "" : *word);
    }
    std::vector<char*> argv;
    for (auto& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    const auto pid = ::fork();
    if (pid < 0) {
        return fail(Code::unavailable, "Guest agent command failed, no process can be made");
    }
    if (pid == 0) {
        const int nothing = ::open("/dev/null", O_RDWR);
        for (const int fd : {0, 1, 2}) {
            ::dup2(nothing, fd);
        }
        for (int fd = 3; fd < 256; ++fd) {
            ::close(fd);
        }
        ::execvp(argv[0], argv.data());
        ::_exit(127);
    }
    programs()[pid] = std::nullopt;
    return R"({"pid":)" + std::to_string(pid) + "}";
}

Outcome exec_status(const json::Value& arguments) {
    look();
    TRY(const auto pid, number_in(arguments, "pid"));
    const auto found = programs().find(static_cast<pid_t>(pid));
    if (found == programs().end()) {
        return fail(Code::not_found, "PID " + std::to_string(pid) + " does not exist");
    }
    if (!found->second) {
        return R"({"exited":false})";
    }
    const int raw = *found->second;
    programs().erase(found);
    return WIFEXITED(raw) ? R"({"exited":true,"exitcode":)" + std::to_string(WEXITSTATUS(raw)) + "}"
                          : R"({"exited":true,"signal":)" + std::to_string(WTERMSIG(raw)) + "}";
}

Outcome shut_down() {
    if (::fork() == 0) {
        ::execlp("poweroff", "poweroff", "-f", nullptr);
        ::_exit(127);
    }
    return "{}";
}

}  // namespace vmm::guest_agent
