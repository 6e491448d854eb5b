#include "vmm/domain/boot.h"

#include <array>

namespace vmm::domain {
namespace {

struct Words {
    std::string_view name;
    std::string_view awaited;
    std::string_view advice;
};

constexpr std::array<Words, 6> words{{
    {"created",
     "the first output of the guest's firmware or kernel on its serial console",
     "look at the console; an image that boots by UEFI must say so, and one without a serial console stays "
     "silent"},
    {"firmware",
     "the guest's kernel",
     "look at the console: a boot loader that waits at a menu or finds no disk says so there"},
    {"kernel",
     "the guest to ask for its address",
     "look at the console for a panic or a failed mount; the guest needs a virtio network driver and DHCP"},
    {"network",
     "cloud-init or another agent in the guest",
     "an image without cloud-init never comes further: the machine may well be ready; else look at the "
     "console"},
    {"cloud-init",
     "the guest's report that it has booted",
     "look at the console and at /var/log/cloud-init-output.log in the guest: a step of the Formfile or the "
     "user "
     "data may have failed"},
    {"ready", "nothing", ""},
}};

}  // namespace

std::string_view name(Stage stage) {
    return words.at(static_cast<std::size_t>(stage)).name;
}

std::string_view awaited(Stage stage) {
    return words.at(static_cast<std::size_t>(stage)).awaited;
}

std::string_view advice(Stage stage) {
    return words.at(static_cast<std::size_t>(stage)).advice;
}

}  // namespace vmm::domain
