#pragma once

#include "vmm/base/error.h"
#include "vmm/base/time.h"
#include "vmm/domain/address.h"
#include "vmm/ports/signatures.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Sign-In with Ethereum: the message of EIP-4361, read exactly as its grammar has it.
namespace vmm::proofs {

struct SignIn {
    std::string scheme;  // may be empty
    std::string domain;
    domain::Address address;
    std::string statement;
    std::string uri;
    std::int64_t chain_id = 0;
    std::string nonce;
    Timestamp issued_at;
    std::optional<Timestamp> expires_at;
    std::optional<Timestamp> not_before;
};

// invalid "bad-sign-in-message", field "message", with the line that was expected. An address whose checksum
// is wrong, or that has none, is refused too.
Result<SignIn> read_sign_in(const ports::Signatures& signatures, std::string_view message);

struct SignInRules {
    std::vector<std::string> domains;  // host or host:port that are this service's
    std::int64_t chain_id = 1;
    std::chrono::seconds window{300};  // that clocks may differ
};

// Whether the message is for this service and good now. unauthenticated "wrong-domain", "wrong-chain",
// "message-expired", "message-not-yet-valid". The nonce is another question.
Result<void> check_sign_in(const SignIn& message, const SignInRules& rules, Timestamp at);

// Nonces that need no memory until they are used: time, chance, and a keyed hash of both.
std::string make_nonce(const ports::Signatures& signatures, std::string_view key, Timestamp at);

// When the nonce ends. unauthenticated "bad-nonce" when it is not ours or has ended.
Result<Timestamp>
check_nonce(const ports::Signatures& signatures, std::string_view key, std::string_view nonce, Timestamp at);

}  // namespace vmm::proofs
