#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace vmm::qemu {

struct Accelerator {
    std::string name;    // "kvm" or "tcg"
    std::string reason;  // why this one
};

// What "auto" means on this host: KVM where the processor has virtualisation and a probe machine really runs
// in long mode, TCG otherwise. A /dev/kvm that merely opens, or runs a few real-mode instructions, does not
// count.
Accelerator choose_accelerator();

// The processor's time stamp counter in kHz, measured; nothing where there is none. Takes no time of its own
// after the first 20 ms of the process.
std::optional<std::uint64_t> tsc_khz();

}  // namespace vmm::qemu
