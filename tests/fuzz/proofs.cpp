// Capabilities, sign-in messages and ledger lines as anybody may send them.
#include "vmm/base/time.h"
#include "vmm/crypto/signatures.h"
#include "vmm/proofs/capability.h"
#include "vmm/proofs/ledger.h"
#include "vmm/proofs/sign_in.h"

#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace vmm;
    static const auto signatures = crypto::create_signatures();
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    if (const auto links = proofs::read_capability(*signatures, text)) {
        // What was read is written and read again as the same.
        const auto again = proofs::read_capability(*signatures, proofs::write_capability(*links));
        if (!again || again->size() != links->size()) {
            std::abort();
        }
        (void)proofs::verify_capability(*signatures, *links, 1'800'000'000);
    }
    if (const auto message = proofs::read_sign_in(*signatures, text)) {
        const proofs::SignInRules rules{{"vmm.example"}, 1, std::chrono::seconds{300}};
        (void)proofs::check_sign_in(*message, rules, Timestamp{1'800'000'000'000});
    }
    (void)proofs::check_nonce(*signatures, "key", text, Timestamp{0});
    proofs::LedgerCheck check{*signatures, {}};
    for (std::size_t at = 0; at <= text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        check.add(text.substr(at, end - at));
        at = end + 1;
    }
    check.finish();
    return 0;
}
