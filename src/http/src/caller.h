#pragma once

#include "request.h"
#include "routes.h"

namespace vmm::http {

inline constexpr std::string_view session_cookie = "vmm_session";

// Finds out who the caller is, by signature or session, and what a capability that came along gives them. For
// a mutating request it takes the signature, so that it is good once, and opens the request's record in the
// ledger. unauthenticated, malformed, forbidden, conflict "replayed-request".
Task<void> authenticate(Service& service, const Route& route, Request& request);

// An unknown address' account, where anyone may open one.
Task<void> open_account(Service& service, domain::Address address);

// forbidden "account-suspended".
Result<void> check_active(const Service& service, const domain::Address& address);

// What a capability's token says, once it is found sound.
Result<proofs::Capability> capability_of(const Service& service, std::string_view token);

}  // namespace vmm::http
