#pragma once

#include "vmm/base/error.h"
#include "vmm/domain/access.h"
#include "vmm/ports/signatures.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Capability tokens: "this address may do these actions with this machine until then", signed offline as
// EIP-712 typed data, and passed on, with less in it, by further links. docs/access.md has the format.
namespace vmm::proofs {

// One signed sentence. The first is signed by whoever has the right themselves, each further one by the
// holder of the one before it.
struct Link {
    std::string vm;
    domain::Address to;
    std::vector<std::string> actions;  // by their names, as they are signed
    std::int64_t expires = 0;          // Unix seconds
    std::array<std::uint8_t, 16> nonce{};
    ports::Signature signature;
};

inline constexpr std::size_t most_links = 8;
inline constexpr std::int64_t longest_capability_s = 366LL * 24 * 3600;

// What the link's signature covers; `parent` is the digest of the link before it, zero for the first.
ports::Digest link_digest(const ports::Signatures& signatures, const Link& link, const ports::Digest& parent);

// The token as it travels in X-Capability: "cap1." and base64url of the links' JSON.
std::string write_capability(const std::vector<Link>& links);

// malformed "bad-capability", field "X-Capability".
Result<std::vector<Link>> read_capability(const ports::Signatures& signatures, std::string_view token);

// What a token says, when every link is signed by the holder of the one before and gives no more than that.
struct Capability {
    domain::Delegation delegation;
    domain::Address holder;
    std::int64_t expires = 0;
    std::vector<domain::Address> signers;  // of each link
    std::vector<ports::Digest> ids;        // of each link; what a revocation names
};

// unauthenticated "capability-widened", "capability-expired"; malformed "bad-capability". Whether the first
// signer has the rights is another question.
Result<Capability>
verify_capability(const ports::Signatures& signatures, const std::vector<Link>& links, std::int64_t now_s);

}  // namespace vmm::proofs
