// What a QEMU that has been taken over may send to its monitor's client.
#include "monitor.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    std::string_view rest{reinterpret_cast<const char*>(data), size};
    while (!rest.empty()) {
        const auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        (void)vmm::qemu::read_qmp_line(line);
    }
    return 0;
}
