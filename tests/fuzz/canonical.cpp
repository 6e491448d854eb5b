// Canonical JSON: never crashes, and what it writes reads back to itself.
#include "vmm/json/write.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const auto value = vmm::json::parse({reinterpret_cast<const char*>(data), size});
    if (!value) {
        return 0;
    }
    const auto once = vmm::json::canonical(*value);
    const auto again = vmm::json::parse(once);
    if (!again || vmm::json::canonical(*again) != once || !vmm::json::parse(vmm::json::compact(*value))) {
        std::abort();
    }
    return 0;
}
