#pragma once

#include "vmm/base/task.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace vmm::ports {

// What to run. The machine type and accelerator are the hypervisor's choice.
struct LaunchPlan {
    LaunchPlan() = default;
    LaunchPlan(LaunchPlan&&) = default;
    LaunchPlan(const LaunchPlan&) = default;
    LaunchPlan& operator=(LaunchPlan&&) = default;
    LaunchPlan& operator=(const LaunchPlan&) = default;
    ~LaunchPlan() = default;

    std::string id;
    std::string name;
    std::uint32_t vcpus = 1;
    std::uint32_t memory_mib = 0;
    std::filesystem::path kernel;  // empty: boot from the disk
    std::filesystem::path initrd;
    std::string command_line;
    std::filesystem::path disk;  // qcow2
    std::string boot_token;      // secret; reaches the guest and no process list
};

// Why a machine's process is gone.
struct Ended {
    enum class Cause : std::uint8_t { asked, guest_off, broke };
    Cause cause = Cause::broke;
    std::string reason;
};

// Called on the executor on which the machine was launched or adopted; `ended` at most once and last.
struct Events {
    std::function<void(Ended)> ended;
    std::function<void()> reset;
};

enum class RunState : std::uint8_t { running, paused, guest_off };

// One machine's process and its monitor. Used on the executor on which it was launched or adopted. Destroying
// the object lets go of the process and leaves it running. Every command has a deadline (timed_out) and may
// fail with unavailable.
class Instance {
public:
    Instance() = default;
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;
    virtual ~Instance() = default;

    virtual Task<void> resume() = 0;
    virtual Task<void> pause() = 0;
    virtual Task<void> press_power_button() = 0;
    virtual Task<RunState> state() = 0;

    // Whether the process was gone before the limit.
    virtual asio::awaitable<bool> gone_within(std::chrono::milliseconds limit) = 0;

    // Ends the process, politely for a second and then by force; returns when it is gone.
    virtual Task<void> end() = 0;

    [[nodiscard]] virtual int pid() const = 0;
};

// What there is to run machines with.
struct HypervisorFacts {
    HypervisorFacts() = default;
    std::string binary;
    std::string version;
    std::string accelerator;         // "kvm" or "tcg"
    std::string accelerator_reason;  // why this one
};

class Hypervisor {
public:
    virtual ~Hypervisor() = default;

    // Starts a process that holds the machine before its first instruction; resume() lets it go. Whatever was
    // left under this id is ended first. unavailable "qemu-missing", "no-space", "qemu-failed" with what QEMU
    // said. Leaves nothing behind when it fails.
    virtual Task<std::shared_ptr<Instance>> launch(LaunchPlan plan, Events events) = 0;

    // Takes over the process that an earlier run of the service started. not_found when there is none that
    // answers as this machine.
    virtual Task<std::shared_ptr<Instance>> adopt(std::string id, Events events) = 0;

    // Ids of all machines of which a process or a folder exists here.
    virtual Task<std::vector<std::string>> found() = 0;

    // Ends what runs under this id and removes its sockets; with Remains::nothing its folder and logs too.
    // Idempotent.
    enum class Remains : std::uint8_t { logs, nothing };
    virtual Task<void> clear(std::string id, Remains remains) = 0;

    // unavailable "qemu-missing".
    virtual Task<HypervisorFacts> facts() = 0;
};

}  // namespace vmm::ports
