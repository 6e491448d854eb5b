#pragma once

#include "vmm/base/error.h"

#include <memory>
#include <string>

struct nft_ctx;

namespace vmm::network {

// nftables' own library. Used by one thread at a time.
class Nft {
public:
    Nft();

    // All of it or nothing. unavailable "network-denied" without the privilege, "network-failed" otherwise.
    Result<void> run(const std::string& commands);

private:
    struct Free {
        void operator()(nft_ctx* context) const;
    };

    std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace vmm::network
