#include "argv.h"

#include "vmm/base/ids.h"
#include "vmm/json/write.h"

#include <array>

namespace vmm::qemu {
namespace {

constexpr std::string_view name_prefix = "guest=";

std::string text(std::string_view value) {
    std::string out;
    json::append_text(out, value);
    return out;
}

// A MAC address that is the machine's own: QEMU's prefix, then the last three bytes of its id.
std::string mac(const std::string& id) {
    const auto uuid = uuid_of(id);
    const auto tail = uuid.substr(uuid.size() - 6);
    return "52:54:00:" + tail.substr(0, 2) + ":" + tail.substr(2, 2) + ":" + tail.substr(4, 2);
}

}  // namespace

std::string node_of(const std::string& disk) {
    return disk == "root" ? "disk" : disk;
}

std::string device_of(const std::string& disk) {
    return disk == "root" ? "disk0" : "dev-" + disk;
}

std::string block_node(const ports::DiskPlan& disk) {
    const bool direct = disk.cache == "none" || disk.cache == "directsync";
    const std::string cache = std::string{R"("cache":{"direct":)"} + (direct ? "true" : "false") +
                              R"(,"no-flush":)" + (disk.cache == "unsafe" ? "true" : "false") + "}";
    const std::string discard = disk.trim ? R"("discard":"unmap")" : R"("discard":"ignore")";
    return R"({"driver":"qcow2","node-name":)" + text(node_of(disk.id)) + "," + discard + "," + cache +
           R"(,"file":{"driver":"file",)" + discard + "," + cache + R"(,"filename":)" +
           text(disk.file.string()) + "}}";
}

std::string disk_device(const ports::DiskPlan& disk) {
    const bool through = disk.cache == "writethrough" || disk.cache == "directsync";
    const std::string common =
        ",write-cache=" + std::string{through ? "off" : "on"} + ",werror=stop,rerror=report";
    if (disk.id == "root") {
        return "virtio-blk-pci,id=" + device_of(disk.id) + ",drive=" + node_of(disk.id) + common;
    }
    // The guest finds it by its id in /dev/disk/by-id.
    return "scsi-hd,bus=volumes.0,id=" + device_of(disk.id) + ",drive=" + node_of(disk.id) +
           ",serial=" + disk.id + common;
}

std::string machine_type(const Settings& settings, const ports::LaunchPlan& plan) {
    if (settings.machine != "auto") {
        return settings.machine;
    }
    return plan.kernel.empty() ? "q35" : "microvm";
}

std::vector<std::string> qemu_argv(
    const Settings& settings,
    const ports::LaunchPlan& plan,
    std::string_view accelerator,
    const std::filesystem::path& boot_config
) {
    const auto type = machine_type(settings, plan);
    const std::string machine = type + (type == "microvm" ? ",acpi=on,pcie=on" : "") + ",memory-backend=ram";
    const auto memory = std::to_string(plan.memory_mib);
    std::vector<std::string> argv{
        "-name",
        std::string{name_prefix} + plan.id,
        "-uuid",
        uuid_of(plan.id),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        // The process outlives the guest's power-off, so that a service that was away learns how the guest
        // ended.
        "-no-shutdown",
        "-S",
        "-machine",
        machine,
        "-accel",
        accelerator == "kvm" ? "kvm" : "tcg,tb-size=256",
        "-smp",
        std::to_string(plan.vcpus),
        "-m",
        memory,
        "-object",
        "memory-backend-ram,id=ram,size=" + memory + "M",
        "-chardev",
        "socket,id=qmp,fd=" + std::to_string(monitor_fd) + ",server=on,wait=off",
        "-mon",
        "chardev=qmp,mode=control",
        "-chardev",
        "socket,id=console,fd=" + std::to_string(console_fd) + ",server=on,wait=off",
        "-serial",
        "chardev:console",
        // Volumes hang on this one; it takes and gives up disks while the machine runs, on every machine
        // type.
        "-device",
        "virtio-scsi-pci,id=volumes",
        "-netdev",
        "user,id=net0",
        "-device",
        "virtio-net-pci,id=nic0,netdev=net0,romfile=,mac=" + mac(plan.id),
    };
    const auto add = [&argv](std::initializer_list<std::string> more) { argv.insert(argv.end(), more); };
    for (const auto& disk : plan.disks) {
        add({"-blockdev", block_node(disk), "-device", disk_device(disk)});
    }
    if (accelerator == "kvm") {
        add({"-cpu", "host"});
    }
    if (settings.virtio_rng) {
        add({"-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"});
    }
    if (!plan.kernel.empty()) {
        add({"-kernel", plan.kernel.string(), "-readconfig", boot_config.string()});
        if (!plan.initrd.empty()) {
            add({"-initrd", plan.initrd.string()});
        }
    } else if (plan.firmware == "uefi") {
        add({"-bios", settings.uefi_firmware});
    } else if (!settings.firmware.empty()) {
        add({"-bios", settings.firmware});
    }
    return argv;
}

std::string
boot_config(const Settings& settings, const ports::LaunchPlan& plan, std::optional<std::uint64_t> tsc_khz) {
    std::string line = plan.command_line;
    if (tsc_khz) {
        line.append(" tsc_early_khz=").append(std::to_string(*tsc_khz));
    }
    line.append(" vmm.id=").append(plan.id).append(" vmm.name=").append(plan.name);
    if (!settings.callback_url.empty()) {
        line.append(" vmm.callback=")
            .append(settings.callback_url)
            .append(" vmm.token=")
            .append(plan.boot_token);
    }
    return "[machine]\n  append = \"" + line + "\"\n";
}

std::string_view id_in_argv(std::string_view nul_separated) {
    bool after_name = false;
    while (!nul_separated.empty()) {
        const auto argument = nul_separated.substr(0, nul_separated.find('\0'));
        nul_separated.remove_prefix(std::min(nul_separated.size(), argument.size() + 1));
        if (after_name && argument.starts_with(name_prefix)) {
            const auto id = argument.substr(name_prefix.size());
            return is_id("vm", id) ? id : std::string_view{};
        }
        after_name = argument == "-name";
    }
    return {};
}

}  // namespace vmm::qemu
