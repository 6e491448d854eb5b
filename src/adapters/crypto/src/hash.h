#pragma once

#include "vmm/crypto/sha256.h"

namespace vmm::crypto {

ports::Digest sha3_256(std::string_view data);
ports::Digest hmac_sha256(std::string_view key, std::string_view data);
ports::Digest personal_digest(std::string_view message);
domain::Address checksummed(const domain::Address::Bytes& bytes);
domain::Address address_of_key(std::span<const std::uint8_t, 65> uncompressed);

}  // namespace vmm::crypto
