#include "vmm/crypto/sha256.h"

#include <openssl/evp.h>

namespace vmm::crypto {

struct Sha256::State {
    State() { EVP_DigestInit_ex(context, EVP_sha256(), nullptr); }

    State(const State&) = delete;
    State& operator=(const State&) = delete;

    ~State() { EVP_MD_CTX_free(context); }

    EVP_MD_CTX* context = EVP_MD_CTX_new();
};

Sha256::Sha256() : state_{std::make_unique<State>()} {}

Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::add(std::string_view data) {
    EVP_DigestUpdate(state_->context, data.data(), data.size());
}

ports::Digest Sha256::digest() const {
    const State copy;
    EVP_MD_CTX_copy_ex(copy.context, state_->context);
    ports::Digest out{};
    EVP_DigestFinal_ex(copy.context, out.data(), nullptr);
    return out;
}

}  // namespace vmm::crypto
