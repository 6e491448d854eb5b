#pragma once

#include "vmm/base/error.h"
#include "vmm/domain/address.h"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace vmm::ports {

using Digest = std::array<std::uint8_t, 32>;

struct Signature {
    std::array<std::uint8_t, 64> rs{};
    int recovery_id = 0;  // 0 or 1
};

// The cryptography that access rests on. Stateless and thread-safe.
class Signatures {
public:
    virtual ~Signatures() = default;

    // EIP-191 "personal message" digest.
    [[nodiscard]] virtual Digest personal_digest(std::string_view message) const = 0;

    // The signer's address. malformed when r or s is out of range, s is in the upper half, or no key fits.
    [[nodiscard]] virtual Result<domain::Address> recover(const Digest& digest, const Signature& signature)
        const = 0;

    // 20 bytes with their EIP-55 spelling.
    [[nodiscard]] virtual domain::Address address(const domain::Address::Bytes& bytes) const = 0;

    // An address as people write it: 40 hex digits, 0x optional, the checksum verified when the case is
    // mixed. malformed.
    [[nodiscard]] virtual Result<domain::Address> parse_address(std::string_view text) const = 0;

    [[nodiscard]] virtual Digest sha256(std::string_view data) const = 0;
    [[nodiscard]] virtual Digest keccak256(std::string_view data) const = 0;
    [[nodiscard]] virtual Digest hmac_sha256(std::string_view key, std::string_view data) const = 0;
    [[nodiscard]] virtual Digest sha3_256(std::string_view data) const = 0;
};

}  // namespace vmm::ports
