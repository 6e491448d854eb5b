#pragma once

#include <optional>
#include <string>

#include "request.h"
#include "routes.h"

namespace vmm::http {

// A request that earlier clients signed in its body: `signature` (hex r‖s) and `recovery_id` beside what it
// asks for. The text holds no time, so that it is good for ever; off unless the configuration says otherwise.
struct LegacyProof {
    domain::Address address;
    ports::Digest digest{};  // that was signed
    std::string message;
    std::string signature;  // 65 bytes in hex
    bool once = false;      // of a create and a delete, which are good once
};

// Nothing when the request is signed in no such way, or its route never was. The fields of the signature are
// taken out of the body. unauthenticated "legacy-auth-disabled", malformed "bad-signature".
Result<std::optional<LegacyProof>> read_legacy(const Service& service, const Route& route, Request& request);

// Says that this way of signing ends, and when.
void deprecate(Reply& reply);

}  // namespace vmm::http
