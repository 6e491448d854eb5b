#pragma once

#include "vmm/base/progress.h"
#include "vmm/images/store.h"

#include <map>
#include <string>
#include <vector>

namespace vmm::images {

// One run of qemu-img behind vmm-jail's walls.
struct Confined {
    std::vector<std::string> arguments;                   // paths as seen inside: /in/NAME and /out/…
    std::map<std::string, std::filesystem::path> inputs;  // by NAME
    std::filesystem::path work;                           // becomes /out; made the jail's user's own
    std::uint64_t most_bytes = 0;                         // that a file it writes may have
};

// Blocks until it has ended, and returns what it printed. With -p among the arguments `progress` follows it.
// unavailable "qemu-img-missing" or "sandbox-failed", timed_out, cancelled, unavailable "no-space", too_large
// "image-over-quota", and invalid "image-corrupt" with qemu-img's words.
Result<std::string>
run_confined(const Settings& settings, const Confined& what, const ProgressView& progress);

// Gives a file that the jail's user made back to root, closed to others.
Result<void> take_back(const std::filesystem::path& file);

}  // namespace vmm::images
