#pragma once

#include <string_view>

namespace vmm::qemu {

// Whether the processor's timer, as "info lapic" of QEMU's monitor shows it, is still as Linux sets it to
// measure it: masked, and counting down from the most. Source: calibrate_APIC_clock() in
// arch/x86/kernel/apic/apic.c of Linux 6.1, which leaves it so, and does without it, when the processor was
// kept from running for 100 ms.
bool left_in_calibration(std::string_view lapic);

}  // namespace vmm::qemu
