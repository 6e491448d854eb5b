#pragma once

#include "vmm/crypto/signatures.h"

#include <string>
#include <string_view>

namespace vmm::cli {

// The cost of scrypt: n is 2 to this power. 18 is what other Ethereum tools use; tests use less.
inline constexpr int scrypt_log2_n = 18;

// A key as Web3 Secret Storage version 3 (scrypt, AES-128-CTR), which geth, ethers and eth-account read.
std::string encrypt_key(const crypto::Signer& signer, std::string_view password, int log2_n = scrypt_log2_n);

// The key in such a file; scrypt and PBKDF2 are read. malformed for what is no key file, unauthenticated
// "wrong-password".
Result<crypto::Signer> decrypt_key(std::string_view file, std::string_view password);

// The address in such a file, without its password; empty when there is none.
std::string address_in(std::string_view file);

}  // namespace vmm::cli
