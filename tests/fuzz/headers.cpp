// The headers of a signed request: three lines of input.
#include "vmm/crypto/signatures.h"
#include "vmm/wire/signing.h"

#include <string>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace vmm;
    static const auto signatures = crypto::create_signatures();
    std::string_view rest{reinterpret_cast<const char*>(data), size};
    const auto line = [&rest] {
        const auto out = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), out.size() + 1));
        return out;
    };
    const auto signature_line = line();
    const auto recovery_line = line();
    const auto timestamp_line = line();
    (void)signatures->parse_address(rest);
    if (const auto time = wire::parse_timestamp(timestamp_line)) {
        (void)wire::check_window(*time, 1'700'000'000'000'000'000, 300);
    }
    if (const auto signature = wire::parse_signature(signature_line, recovery_line)) {
        const auto message = wire::signing_text("POST", "/vms", timestamp_line, rest);
        (void
        )signatures->recover(signatures->personal_digest(message), {signature->rs, signature->recovery_id});
    }
    return 0;
}
