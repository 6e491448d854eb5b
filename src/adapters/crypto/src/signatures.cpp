#include "vmm/crypto/signatures.h"

#include "vmm/base/text.h"

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include <algorithm>

#include "hash.h"

namespace vmm::crypto {
namespace {

class RealSignatures final : public ports::Signatures {
public:
    RealSignatures()
        : context_{secp256k1_context_create(SECP256K1_CONTEXT_NONE), &secp256k1_context_destroy} {}

    [[nodiscard]] ports::Digest personal_digest(std::string_view message) const override {
        return crypto::personal_digest(message);
    }

    [[nodiscard]] Result<domain::Address>
    recover(const ports::Digest& digest, const ports::Signature& signature) const override {
        secp256k1_ecdsa_signature plain;
        if (secp256k1_ecdsa_signature_parse_compact(context_.get(), &plain, signature.rs.data()) == 0) {
            return fail(Error{Code::malformed, "the signature's r or s is out of range"}
                            .with_slug("bad-signature")
                            .with_field("X-Signature"));
        }
        if (secp256k1_ecdsa_signature_normalize(context_.get(), nullptr, &plain) != 0) {
            return fail(Error{
                Code::malformed,
                "the signature's s is in the upper half of the order; only the lower one is accepted"
            }
                            .with_slug("bad-signature")
                            .with_field("X-Signature"));
        }
        secp256k1_ecdsa_recoverable_signature recoverable;
        secp256k1_pubkey key;
        if (secp256k1_ecdsa_recoverable_signature_parse_compact(
                context_.get(), &recoverable, signature.rs.data(), signature.recovery_id
            ) == 0 ||
            secp256k1_ecdsa_recover(context_.get(), &key, &recoverable, digest.data()) == 0) {
            return fail(Error{Code::malformed, "no key fits the signature"}
                            .with_slug("bad-signature")
                            .with_field("X-Signature"));
        }
        std::array<std::uint8_t, 65> bytes{};
        std::size_t size = bytes.size();
        secp256k1_ec_pubkey_serialize(context_.get(), bytes.data(), &size, &key, SECP256K1_EC_UNCOMPRESSED);
        return address_of_key(bytes);
    }

    [[nodiscard]] domain::Address address(const domain::Address::Bytes& bytes) const override {
        return checksummed(bytes);
    }

    [[nodiscard]] Result<domain::Address> parse_address(std::string_view text) const override {
        const auto parsed = from_hex(text);
        if (!parsed || parsed->size() != 20) {
            return fail(Error{Code::malformed, "expected an address of 40 hex digits, found " + quote(text)}
                            .with_slug("bad-address"));
        }
        domain::Address::Bytes bytes{};
        std::ranges::copy(*parsed, bytes.begin());
        auto address = checksummed(bytes);
        const auto digits = text.substr(text.size() - 40);
        const bool has_upper = std::ranges::any_of(digits, [](char c) { return c >= 'A' && c <= 'F'; });
        const bool has_lower = std::ranges::any_of(digits, [](char c) { return c >= 'a' && c <= 'f'; });
        if (has_upper && has_lower && digits != address.text().substr(2)) {
            return fail(Error{
                Code::malformed,
                "the address' checksum (EIP-55) is wrong; it should read " + std::string{address.text()}
            }.with_slug("bad-address"));
        }
        return address;
    }

    [[nodiscard]] ports::Digest sha256(std::string_view data) const override { return crypto::sha256(data); }

    [[nodiscard]] ports::Digest keccak256(std::string_view data) const override {
        return crypto::keccak256(data);
    }

    [[nodiscard]] ports::Digest hmac_sha256(std::string_view key, std::string_view data) const override {
        return crypto::hmac_sha256(key, data);
    }

    [[nodiscard]] ports::Digest sha3_256(std::string_view data) const override {
        return crypto::sha3_256(data);
    }

private:
    std::unique_ptr<secp256k1_context, decltype(&secp256k1_context_destroy)> context_;
};

}  // namespace

std::unique_ptr<ports::Signatures> create_signatures() {
    return std::make_unique<RealSignatures>();
}

}  // namespace vmm::crypto
