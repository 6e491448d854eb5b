#pragma once

#include "vmm/ports/hypervisor.h"

#include <boost/asio/any_io_executor.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace vmm::qemu {

struct Settings {
    std::string binary = "qemu-system-x86_64";  // a path, or a name looked up in PATH
    std::filesystem::path run_dir;              // one folder per machine below it
    std::string machine = "auto";               // auto | microvm | q35
    std::string accelerator = "auto";           // auto | kvm | tcg
    std::string firmware;                       // for machines without a kernel; empty: QEMU's own
    std::string uefi_firmware;                  // for images that want UEFI
    std::string callback_url;                   // where guests report that they have booted
    std::size_t console_log_bytes = 1 << 20;    // kept of a machine's console, at most
    bool virtio_rng = true;
};

// QEMU over QMP. All calls and events happen on this executor, which must run on one thread. Each machine has
// a folder run_dir/ID with qmp.sock (QEMU's monitor), serial.sock (QEMU's console, held by the service),
// console.sock (the console for any number of local clients), console.log, console.log.1 and qemu.log.
std::unique_ptr<ports::Hypervisor> create_hypervisor(asio::any_io_executor executor, Settings settings);

}  // namespace vmm::qemu
