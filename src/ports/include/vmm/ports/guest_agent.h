#pragma once

#include "vmm/base/task.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmm::ports {

// An interface as the guest sees it.
struct GuestInterface {
    std::string name;
    std::string mac;
    std::vector<std::string> addresses;  // without loopback and link-local ones
};

struct GuestFacts {
    GuestFacts() = default;
    std::string os;      // "Debian GNU/Linux 12 (bookworm)"
    std::string kernel;  // its release
    std::string hostname;
    std::vector<GuestInterface> interfaces;
};

// How a program in the guest stands.
struct GuestExit {
    bool exited = false;
    std::optional<int> status;
    std::optional<int> signal;
};

// An agent inside the guest that speaks the QEMU guest agent's protocol. Used on the machine's executor; one
// question at a time, the next one waits. Everything that a guest says is untrusted. unavailable "no-agent"
// when none answers within the limit, "agent-refused" with what it said.
class GuestAgent {
public:
    GuestAgent() = default;
    GuestAgent(const GuestAgent&) = delete;
    GuestAgent& operator=(const GuestAgent&) = delete;
    virtual ~GuestAgent() = default;

    virtual Task<void> ping(std::chrono::milliseconds limit) = 0;
    virtual Task<GuestFacts> facts() = 0;

    // Starts a program; its number.
    virtual Task<std::int64_t> exec(std::vector<std::string> argv) = 0;
    virtual Task<GuestExit> exec_status(std::int64_t pid) = 0;

    // Files, by handles that the guest gives. `mode` as fopen() has it.
    virtual Task<std::int64_t> open(std::string path, std::string mode) = 0;
    // Up to so many bytes; fewer, or none, at its end.
    virtual Task<std::string> read(std::int64_t handle, std::size_t bytes) = 0;
    virtual Task<void> write(std::int64_t handle, std::string bytes) = 0;
    virtual Task<void> close(std::int64_t handle) = 0;

    // Stops writes to the guest's file systems, and lets them go on. Between the two, whatever else is asked
    // waits. A guest that does not answer may be left frozen: what is asked next thaws it first.
    virtual Task<void> freeze() = 0;
    virtual Task<void> thaw() = 0;
    [[nodiscard]] virtual bool frozen() const = 0;

    virtual Task<void> add_ssh_keys(std::string user, std::vector<std::string> keys) = 0;
    virtual Task<void> shut_down() = 0;
};

}  // namespace vmm::ports
