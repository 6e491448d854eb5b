#pragma once

#include "vmm/base/time.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace vmm::domain {

// How far a guest has come since it was started. Only ever forwards.
enum class Stage : std::uint8_t {
    created,     // QEMU runs it
    firmware,    // its firmware or boot loader has said something
    kernel,      // its kernel runs
    network,     // it has its address
    cloud_init,  // cloud-init, or what reads the seed, is at work
    ready,       // it has reported
};

std::string_view name(Stage stage);

// What is known of a guest's way; not stored, found out again.
struct Boot {
    Stage stage = Stage::created;
    Timestamp started;
    Timestamp since;        // it is at this stage
    std::string saw;        // what told so
    std::string last_line;  // of its console
    bool overdue = false;   // vm_boot_timeout is over
};

// What a booting guest is waited for at this stage, and what its owner may do when it does not come.
std::string_view awaited(Stage stage);
std::string_view advice(Stage stage);

}  // namespace vmm::domain
