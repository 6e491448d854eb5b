#include "nft.h"

#include "vmm/base/text.h"

#include <nftables/libnftables.h>

namespace vmm::network {

void Nft::Free::operator()(nft_ctx* context) const {
    nft_ctx_free(context);
}

Nft::Nft() : context_{nft_ctx_new(NFT_CTX_DEFAULT)} {
    nft_ctx_buffer_error(context_.get());
    nft_ctx_buffer_output(context_.get());
}

Result<void> Nft::run(const std::string& commands) {
    if (nft_run_cmd_from_buffer(context_.get(), commands.c_str()) == 0) {
        (void)nft_ctx_get_output_buffer(context_.get());
        (void)nft_ctx_get_error_buffer(context_.get());
        return {};
    }
    const std::string said = nft_ctx_get_error_buffer(context_.get());
    const bool denied = said.contains("Operation not permitted");
    const auto line = said.substr(0, said.find('\n'));
    return fail(Error{
        Code::unavailable,
        denied ? "the firewall cannot be set: the service lacks the privilege CAP_NET_ADMIN"
               : "the firewall cannot be set: nftables says " + quote(line, 300)
    }
                    .with_slug(denied ? "network-denied" : "network-failed"));
}

}  // namespace vmm::network
