#include "machine_process.h"

#include "vmm/base/text.h"

#include "argv.h"

namespace vmm::qemu {
namespace {

namespace fs = std::filesystem;

std::string arguments_of(pid_t pid) {
    return read_file("/proc/" + std::to_string(pid) + "/cmdline", 1 << 20).value_or("");
}

}  // namespace

std::map<std::string, pid_t> find_processes() {
    std::map<std::string, pid_t> found;
    std::error_code failed;
    for (const auto& entry : fs::directory_iterator{"/proc", failed}) {
        if (const auto pid = parse_number<pid_t>(entry.path().filename().string())) {
            const auto arguments = arguments_of(*pid);
            if (const auto id = id_in_argv(arguments); !id.empty()) {
                found.emplace(id, *pid);
            }
        }
    }
    return found;
}

std::optional<Process> open_process(pid_t pid, const std::string& id) {
    auto process = vmm::open_process(pid);
    // Looked at after the descriptor is held: from here on the number cannot be another's.
    if (!process.pidfd || id_in_argv(arguments_of(pid)) != id) {
        return std::nullopt;
    }
    return process;
}

}  // namespace vmm::qemu
