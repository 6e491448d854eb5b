#pragma once

#include "vmm/base/process.h"
#include "vmm/ports/hypervisor.h"

#include <filesystem>
#include <memory>
#include <string>

#include "agent.h"
#include "console.h"
#include "monitor.h"

namespace vmm::qemu {

// One QEMU process: its monitor, its console, and the watch on its end.
class QemuInstance final : public ports::Instance, public std::enable_shared_from_this<QemuInstance> {
public:
    QemuInstance(
        asio::any_io_executor executor,
        Process process,
        std::filesystem::path folder,
        ports::Events events,
        bool child
    );
    ~QemuInstance() override;

    // Connects to the monitor within the limit and to the console, and begins to watch. Fails when the
    // process dies first.
    Task<void> connect(std::chrono::milliseconds limit, std::size_t console_log_bytes);

    // Fails unless the process says that it is this machine.
    Task<void> verify(std::string uuid);

    Task<void> resume() override;
    Task<void> pause() override;
    Task<void> press_power_button() override;
    Task<ports::RunState> state() override;
    Task<bool> timeless() override;
    Task<void> reset() override;
    Task<void> attach(ports::DiskPlan disk) override;
    Task<void> detach(std::string disk) override;

    Task<bool> has_nic(std::string nic) override { return has_device(std::move(nic)); }

    Task<void> plug(ports::NicPlan nic) override;
    Task<void> unplug(std::string nic) override;
    Task<void> publish(std::string nic, domain::PublishedPort port) override;
    Task<void> unpublish(std::string nic, domain::PublishedPort port) override;
    Task<void> eject_seed() override;
    std::shared_ptr<ports::GuestAgent> agent() override;
    Task<void> resize(std::string disk, std::uint64_t bytes) override;
    Task<void> limit(std::string disk, std::uint32_t iops, std::uint32_t throughput_mbps) override;
    Task<void> copy_root(std::filesystem::path overlay, std::function<Task<void>()> begun) override;
    asio::awaitable<bool> gone_within(std::chrono::milliseconds limit) override;
    Task<void> end() override;

    [[nodiscard]] int pid() const override { return process_.pid; }

private:
    Task<json::Value> execute(std::string command, std::string arguments = "");
    Task<std::string> monitor_says(std::string command);
    Task<json::Value> find_node(std::string node);
    Task<bool> has_device(std::string device);
    Task<void> await_event(std::string name, std::string device, std::chrono::milliseconds limit);
    Task<void> end_copy();
    void on_event(const std::string& name, const json::Value& data);
    asio::awaitable<void> watch();
    [[nodiscard]] ports::Ended how_it_ended() const;

    asio::any_io_executor executor_;
    Process process_;
    std::filesystem::path folder_;
    ports::Events events_;
    bool child_;
    asio::steady_timer gone_;  // expires when the process is gone
    std::shared_ptr<Monitor> monitor_;
    std::shared_ptr<Console> console_;
    std::shared_ptr<Agent> agent_;

    // What a wait for an event waits for; one at a time, as one change of disks at a time is made.
    struct Awaited {
        std::string event;
        std::string device;
        bool happened = false;
        std::string error;
    };

    Awaited awaited_;
    asio::steady_timer happened_;
    std::string end_reason_;  // once the process is gone
    bool connected_ = false;  // before this, connect() itself reports the end
    bool asked_ = false;
    bool guest_off_ = false;
    bool signalled_ = false;
    bool is_gone_ = false;
};

}  // namespace vmm::qemu
