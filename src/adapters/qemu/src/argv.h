#pragma once

#include "vmm/ports/hypervisor.h"
#include "vmm/qemu/hypervisor.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::qemu {

// The descriptors that a QEMU process gets beside 0, 1 and 2.
inline constexpr int monitor_fd = 3;
inline constexpr int console_fd = 4;
inline constexpr int agent_fd = 5;
inline constexpr int first_tap_fd = 6;

// Slots that take interfaces while the machine runs.
inline constexpr int nic_slots = 4;

// The first slot of what is passed through, after those of interfaces.
inline constexpr int first_gpu_port = 16;

// "microvm" for a kernel and "q35" for a disk or with a GPU, unless the settings name one.
std::string machine_type(const Settings& settings, const ports::LaunchPlan& plan);

// What QEMU knows a disk by: its block node (31 characters at most) and its device.
std::string node_of(const std::string& disk);
std::string device_of(const std::string& disk);

// A disk's -blockdev (also QMP's blockdev-add) and -device.
std::string block_node(const ports::DiskPlan& disk);
std::string disk_device(const ports::DiskPlan& disk);

// An interface's -netdev (with the tap under this descriptor's number or name) and -device.
std::string netdev(const ports::NicPlan& nic, std::string_view tap);
std::string nic_device(const ports::NicPlan& nic, std::string_view bus);
// A published port as QEMU's user network takes it.
std::string forward(const domain::PublishedPort& port);

// The argument list, without the binary. Pure.
std::vector<std::string> qemu_argv(
    const Settings& settings,
    const ports::LaunchPlan& plan,
    std::string_view accelerator,
    const std::filesystem::path& boot_config
);

// What -readconfig reads: the kernel's command line, which carries a secret and so must not stand in the
// argument list. `tsc_khz`, where given, spares the guest a calibration that hangs on busy hosts.
std::string
boot_config(const Settings& settings, const ports::LaunchPlan& plan, std::optional<std::uint64_t> tsc_khz);

// The machine's id in a process' arguments (as in /proc/PID/cmdline), or empty.
std::string_view id_in_argv(std::string_view nul_separated);

}  // namespace vmm::qemu
