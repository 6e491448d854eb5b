// vmm-jail [--input OUTSIDE=NAME]... --user N --folder F --file-bytes N --memory-bytes N --cpu-s N [--parent
// PID] -- PROGRAM ARGUMENT... Runs a program that reads untrusted images; walls.h says behind what.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>

#include "walls.h"

namespace {

using namespace vmm::jail;

std::uint64_t number(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) {
        errno = EINVAL;
        die("a number");
    }
    return value;
}

void take(Cell& cell, std::string_view option, std::string_view value) {
    if (option == "--input") {
        const auto equals = value.rfind('=');
        cell.inputs.push_back({std::string{value.substr(0, equals)}, std::string{value.substr(equals + 1)}});
    } else if (option == "--user") {
        cell.user = static_cast<uid_t>(number(value));
    } else if (option == "--folder") {
        cell.folder = value;
    } else if (option == "--file-bytes") {
        cell.file_bytes = number(value);
    } else if (option == "--memory-bytes") {
        cell.memory_bytes = number(value);
    } else if (option == "--cpu-s") {
        cell.cpu_s = number(value);
    } else if (option == "--parent") {
        cell.parent = static_cast<pid_t>(number(value));
    } else {
        errno = EINVAL;
        die("usage");
    }
}

}  // namespace

int main(int argc, char** argv) {
    Cell cell;
    int at = 1;
    for (; at + 1 < argc && std::string_view{argv[at]} != "--"; at += 2) {
        take(cell, argv[at], argv[at + 1]);
    }
    if (at + 1 >= argc || cell.user == 0 || cell.folder.empty() || cell.file_bytes == 0 ||
        cell.memory_bytes == 0 || cell.cpu_s == 0) {
        errno = EINVAL;
        die("usage");
    }
    // A service that was killed before this line is told by its number alone.
    const auto parent = cell.parent == 0 ? ::getppid() : cell.parent;
    build_root(cell);
    set_limits(cell);
    drop_privileges(cell);
    // Nobody would wait for the result of a job whose service is gone. Set last: a change of user clears it.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::getppid() != parent) {
        die("watching the parent");
    }
    close_system_calls();
    std::array<char*, 1> environment{nullptr};
    ::execve(argv[at + 1], argv + at + 1, environment.data());
    die(argv[at + 1]);
}
