#pragma once

#include "vmm/base/files.h"
#include "vmm/base/task.h"

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vmm {

// A process by its descriptor, which cannot come to mean another process.
struct Process {
    pid_t pid = 0;
    Fd pidfd;
};

// Starts a program in a session of its own, with no terminal, an almost empty environment, `log` as output,
// and exactly the given descriptors, as 3, 4, ... unavailable "program-missing" when it cannot be executed.
Result<Process> spawn(
    const std::string& program,
    const std::vector<std::string>& arguments,
    int log,
    const std::vector<int>& descriptors
);

// How a child ended, once it has; nothing when it is not our child or still runs. Takes the zombie away.
struct Exit {
    bool by_signal = false;
    int value = 0;  // the signal or the status
};

std::optional<Exit> reap(const Process& process);

void kill(const Process& process);

// Waits until the process has ended, which still is to be reaped then: whether it did within the limit.
asio::awaitable<bool> gone_within(const Process& process, std::chrono::milliseconds limit);

// The same, however long it takes.
asio::awaitable<void> gone(const Process& process);

// The process with this number now; its descriptor is empty when there is none.
Process open_process(pid_t pid);

// The path of a program, looked up in PATH unless it has a slash; empty when there is none or it cannot be
// executed.
std::filesystem::path find_program(const std::string& program);

// Output of a short-lived program, at most 64 KiB and for at most `limit`. unavailable, timed_out.
Task<std::string>
output_of(std::string program, std::vector<std::string> arguments, std::chrono::milliseconds limit);

}  // namespace vmm
