#include "argv.h"

#include "vmm/base/ids.h"
#include "vmm/json/write.h"

#include <array>

namespace vmm::qemu {
namespace {

constexpr std::string_view name_prefix = "guest=";

using json::text;

// Each behind a port of its own, as a card in a slot is, with address space for its memory. Source:
// docs/pcie.txt of QEMU; OVMF's option X-PciMmio64Mb.
std::vector<std::string>
gpu_arguments(const ports::LaunchPlan& plan, std::string_view type, std::string_view accelerator) {
    std::vector<std::string> out;
    std::uint64_t window_gib = 0;
    int port = first_gpu_port;
    for (const auto& gpu : plan.gpus) {
        const auto number = std::to_string(port++);
        const auto bus = "gpu-port" + number;
        out.insert(
            out.end(),
            {"-device",
             "pcie-root-port,id=" + bus + ",chassis=" + number + ",slot=" + number,
             "-device",
             "vfio-pci,id=gpu" + number + ",bus=" + bus + ",host=" + gpu.address}
        );
        window_gib += gpu.model == "RTX5090" ? 64 : gpu.model == "H100" ? 256 : 512;
    }
    if (window_gib > 0 && type == "q35") {
        // Emulated processors reach no further than their 40 bits.
        if (accelerator == "kvm") {
            out.insert(
                out.end(), {"-global", "q35-pcihost.pci-hole64-size=" + std::to_string(window_gib) + "G"}
            );
        }
        if (plan.firmware == "uefi") {
            out.insert(
                out.end(),
                {"-fw_cfg", "name=opt/ovmf/X-PciMmio64Mb,string=" + std::to_string(window_gib * 1024)}
            );
        }
    }
    return out;
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

std::string forward(const domain::PublishedPort& port) {
    return port.protocol + ":" + port.host_address + ":" + std::to_string(port.host_port) +
           "-:" + std::to_string(port.guest_port);
}

std::string netdev(const ports::NicPlan& nic, std::string_view tap) {
    const auto id = "net-" + nic.id;
    if (nic.tap) {
        return "tap,id=" + id + ",fd=" + std::string{tap};
    }
    std::string out = "user,id=" + id + (nic.closed ? ",restrict=on" : "");
    for (const auto& port : nic.ports) {
        out.append(",hostfwd=").append(forward(port));
    }
    return out;
}

std::string nic_device(const ports::NicPlan& nic, std::string_view bus) {
    std::string out = "virtio-net-pci,id=" + nic.id + ",netdev=net-" + nic.id + ",romfile=,mac=" + nic.mac;
    if (nic.mtu != domain::default_mtu) {
        out.append(",host_mtu=").append(std::to_string(nic.mtu));
    }
    if (!bus.empty()) {
        out.append(",bus=").append(bus);
    }
    return out;
}

std::string machine_type(const Settings& settings, const ports::LaunchPlan& plan) {
    if (settings.machine != "auto") {
        return settings.machine;
    }
    return plan.kernel.empty() || !plan.gpus.empty() ? "q35" : "microvm";
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
        "-chardev",
        "socket,id=agent,fd=" + std::to_string(agent_fd) + ",server=on,wait=off",
        "-device",
        "virtio-serial-pci,id=channels",
        "-device",
        "virtserialport,bus=channels.0,chardev=agent,name=org.qemu.guest_agent.0",
    };
    const auto add = [&argv](std::initializer_list<std::string> more) { argv.insert(argv.end(), more); };
    for (const auto& disk : plan.disks) {
        add({"-blockdev", block_node(disk), "-device", disk_device(disk)});
    }
    int tap = first_tap_fd;
    for (const auto& nic : plan.nics) {
        const auto descriptor = nic.tap ? std::to_string(tap++) : std::string{};
        add({"-netdev", netdev(nic, descriptor), "-device", nic_device(nic, "")});
    }
    for (int slot = 0; slot < nic_slots; ++slot) {
        const auto number = std::to_string(slot + 1);
        add(
            {"-device",
             "pcie-root-port,id=plug" + std::to_string(slot) + ",chassis=" + number + ",slot=" + number}
        );
    }
    const auto gpus = gpu_arguments(plan, type, accelerator);
    argv.insert(argv.end(), gpus.begin(), gpus.end());
    if (!plan.seed.empty()) {
        add(
            {"-blockdev",
             R"({"driver":"raw","node-name":"seed","read-only":true,"file":{"driver":"file","read-only":true,"filename":)" +
                 text(plan.seed.string()) + "}}",
             "-device",
             "scsi-cd,bus=volumes.0,id=seed0,drive=seed"}
        );
    }
    if (accelerator == "kvm") {
        // The memory of a large card lies beyond the 40 bits that a guest is given otherwise.
        add({"-cpu", plan.gpus.empty() ? "host" : "host,host-phys-bits=on"});
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
    const auto& callback = plan.callback_url.empty() ? settings.callback_url : plan.callback_url;
    if (!callback.empty()) {
        line.append(" vmm.callback=").append(callback).append(" vmm.token=").append(plan.boot_token);
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
