// The strict decoder over every request body.
#include "vmm/json/decode.h"
#include "vmm/json/encode.h"
#include "vmm/wire/messages.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace vmm;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (const auto wanted = json::decode_text<wire::CreateVm>(text)) {
        if (!json::decode_text<wire::CreateVm>(json::encode(*wanted))) {
            std::abort();
        }
    }
    (void)json::decode_text<wire::UpdateVm>(text);
    (void)json::decode_text<wire::StopVm>(text);
    (void)json::decode_text<wire::BootComplete>(text);
    (void)json::decode_text<wire::Vm>(text);
    return 0;
}
