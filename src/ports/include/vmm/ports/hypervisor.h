#pragma once

#include "vmm/base/files.h"
#include "vmm/base/task.h"
#include "vmm/domain/gpu.h"
#include "vmm/domain/network.h"
#include "vmm/ports/guest_agent.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace vmm::ports {

// How a disk is used.
struct DiskPlan {
    DiskPlan() = default;
    DiskPlan(DiskPlan&&) = default;
    DiskPlan(const DiskPlan&) = default;
    DiskPlan& operator=(DiskPlan&&) = default;
    DiskPlan& operator=(const DiskPlan&) = default;
    ~DiskPlan() = default;

    std::string id;                     // "root", or a volume's id
    std::filesystem::path file;         // qcow2
    std::string cache = "writeback";    // writeback, writethrough, none, directsync, unsafe
    bool trim = true;                   // what the guest discards is given back to the host
    std::uint32_t iops = 0;             // most operations a second; 0: no limit
    std::uint32_t throughput_mbps = 0;  // most megabytes (10^6) a second; 0: no limit
};

// A machine's interface as the hypervisor makes it.
struct NicPlan {
    NicPlan() = default;
    NicPlan(NicPlan&&) = default;
    NicPlan(const NicPlan&) = default;
    NicPlan& operator=(NicPlan&&) = default;
    NicPlan& operator=(const NicPlan&) = default;
    ~NicPlan() = default;

    std::string id;  // "nic0" to "nic7"
    std::string mac;
    std::shared_ptr<Fd> tap;  // empty: the hypervisor's own network
    unsigned mtu = domain::default_mtu;
    // Of the hypervisor's own network.
    bool closed = false;  // nothing leaves it
    std::vector<domain::PublishedPort> ports;
};

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
    std::string firmware;         // "uefi", or empty for the machine's own
    std::vector<DiskPlan> disks;  // the root disk first
    std::vector<NicPlan> nics;
    std::vector<domain::Gpu> gpus;  // passed through
    std::filesystem::path seed;     // a medium that tells the guest who it is; or empty
    std::string callback_url;       // where the guest reports; empty: where the hypervisor was told
    std::string boot_token;         // secret; reaches the guest and no process list
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
    // The machine was stopped because a write failed: "no-space" or "io-error".
    std::function<void(std::string)> stalled;
    // What the guest writes on its console, piece by piece.
    std::function<void(std::string_view)> said;
};

enum class RunState : std::uint8_t { running, paused, guest_off, stalled };

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

    // Whether the guest's kernel has come up without any timer and sleeps for ever: Linux does so on machines
    // whose only timer is the processor's own, when it was kept from running while it measured that.
    virtual Task<bool> timeless() = 0;

    // Begins the guest's boot anew, as a reset button does. `reset` of the events is not called for it.
    virtual Task<void> reset() = 0;

    // Adds a volume to the running machine; does nothing when it has it.
    virtual Task<void> attach(DiskPlan disk) = 0;

    // Takes a volume away, its writes flushed; does nothing when there is none.
    virtual Task<void> detach(std::string disk) = 0;

    // The guest sees the disk's new size at once.
    virtual Task<void> resize(std::string disk, std::uint64_t bytes) = 0;

    virtual Task<bool> has_nic(std::string nic) = 0;

    // Adds an interface to the running machine; does nothing when it has it. conflict "no-slot" when it
    // takes no more while it runs.
    virtual Task<void> plug(NicPlan nic) = 0;

    // Takes an interface away; does nothing when there is none. conflict "not-unpluggable" for one that was
    // there from the start, or that the guest holds on to.
    virtual Task<void> unplug(std::string nic) = 0;

    // Publishes a port of the hypervisor's own network, or ends that. conflict "port-taken".
    virtual Task<void> publish(std::string nic, domain::PublishedPort port) = 0;
    virtual Task<void> unpublish(std::string nic, domain::PublishedPort port) = 0;

    // The agent inside the guest, whether or not there is one. Lives as long as somebody holds it.
    virtual std::shared_ptr<GuestAgent> agent() = 0;

    // Takes the seed out of the machine.
    virtual Task<void> eject_seed() = 0;

    // Limits as in DiskPlan.
    virtual Task<void> limit(std::string disk, std::uint32_t iops, std::uint32_t throughput_mbps) = 0;

    // Copies what the root disk holds now, above its image, into an empty overlay of the same size on the
    // same image, while the machine runs on. `begun` is called once the point in time is taken; it may be
    // empty. An earlier copy that was left behind is ended first.
    virtual Task<void> copy_root(std::filesystem::path overlay, std::function<Task<void>()> begun) = 0;

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
