#include "vmm/base/ids.h"
#include "vmm/crypto/signatures.h"

#include <openssl/crypto.h>
#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include <algorithm>
#include <memory>

#include "hash.h"

namespace vmm::crypto {
namespace {

using Context = std::unique_ptr<secp256k1_context, decltype(&secp256k1_context_destroy)>;

// A context blinded against side channels, as secret keys pass through it.
const secp256k1_context* context() {
    static const Context blinded = [] {
        Context made{secp256k1_context_create(SECP256K1_CONTEXT_NONE), &secp256k1_context_destroy};
        std::array<std::uint8_t, 32> seed{};
        fill_random(seed);
        (void)secp256k1_context_randomize(made.get(), seed.data());
        return made;
    }();
    return blinded.get();
}

}  // namespace

std::optional<Signer> Signer::from_bytes(std::span<const std::uint8_t> bytes) {
    secp256k1_pubkey key;
    if (bytes.size() != 32 || secp256k1_ec_pubkey_create(context(), &key, bytes.data()) == 0) {
        return std::nullopt;
    }
    Signer signer;
    std::ranges::copy(bytes, signer.key_.begin());
    std::array<std::uint8_t, 65> serialized{};
    std::size_t size = serialized.size();
    secp256k1_ec_pubkey_serialize(context(), serialized.data(), &size, &key, SECP256K1_EC_UNCOMPRESSED);
    signer.address_ = address_of_key(serialized);
    return signer;
}

Signer Signer::generate() {
    std::array<std::uint8_t, 32> bytes{};
    while (true) {
        fill_random(bytes);
        if (auto signer = from_bytes(bytes)) {
            OPENSSL_cleanse(bytes.data(), bytes.size());
            return *signer;
        }
    }
}

Signer::~Signer() {
    OPENSSL_cleanse(key_.data(), key_.size());
}

ports::Signature Signer::sign(std::string_view message) const {
    return sign_digest(personal_digest(message));
}

ports::Signature Signer::sign_digest(const ports::Digest& digest) const {
    secp256k1_ecdsa_recoverable_signature recoverable;
    ports::Signature signature;
    (void
    )secp256k1_ecdsa_sign_recoverable(context(), &recoverable, digest.data(), key_.data(), nullptr, nullptr);
    secp256k1_ecdsa_recoverable_signature_serialize_compact(
        context(), signature.rs.data(), &signature.recovery_id, &recoverable
    );
    return signature;
}

}  // namespace vmm::crypto
