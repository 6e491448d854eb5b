#pragma once

#include "vmm/ports/signatures.h"

#include <memory>
#include <optional>
#include <string>

namespace vmm::crypto {

// libsecp256k1, Crypto++ (Keccak-256, SHA3-256) and OpenSSL (SHA-256) behind the port.
std::unique_ptr<ports::Signatures> create_signatures();

ports::Digest keccak256(std::string_view data);

// A private key in use. Wiped when destroyed.
class Signer {
public:
    // 32 bytes; nothing when they are no valid key.
    static std::optional<Signer> from_bytes(std::span<const std::uint8_t> bytes);
    static Signer generate();

    Signer(const Signer&) = default;
    Signer& operator=(const Signer&) = default;
    ~Signer();

    [[nodiscard]] const domain::Address& address() const { return address_; }

    [[nodiscard]] std::span<const std::uint8_t> bytes() const { return key_; }

    // EIP-191 signature, deterministic (RFC 6979), s in the lower half.
    [[nodiscard]] ports::Signature sign(std::string_view message) const;
    // The same of a digest that was made another way, such as EIP-712 makes it.
    [[nodiscard]] ports::Signature sign_digest(const ports::Digest& digest) const;

private:
    Signer() = default;

    std::array<std::uint8_t, 32> key_{};
    domain::Address address_;
};

}  // namespace vmm::crypto
