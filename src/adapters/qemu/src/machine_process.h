#pragma once

#include "vmm/base/process.h"

#include <map>
#include <optional>
#include <string>

namespace vmm::qemu {

// Machines' processes on this host by id, from one look at /proc.
std::map<std::string, pid_t> find_processes();

// The process if it (still) runs the machine with this id.
std::optional<Process> open_process(pid_t pid, const std::string& id);

}  // namespace vmm::qemu
