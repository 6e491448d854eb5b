#include "hash.h"

#include "vmm/crypto/signatures.h"

#include <cryptopp/keccak.h>
#include <cryptopp/sha3.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>

namespace vmm::crypto {
namespace {

const unsigned char* bytes_of(std::string_view data) {
    return reinterpret_cast<const unsigned char*>(data.data());
}

}  // namespace

ports::Digest keccak256(std::string_view data) {
    ports::Digest digest{};
    CryptoPP::Keccak_256 keccak;
    keccak.CalculateDigest(digest.data(), bytes_of(data), data.size());
    return digest;
}

ports::Digest sha3_256(std::string_view data) {
    ports::Digest digest{};
    CryptoPP::SHA3_256 sha3;
    sha3.CalculateDigest(digest.data(), bytes_of(data), data.size());
    return digest;
}

ports::Digest sha256(std::string_view data) {
    ports::Digest digest{};
    SHA256(bytes_of(data), data.size(), digest.data());
    return digest;
}

ports::Digest hmac_sha256(std::string_view key, std::string_view data) {
    ports::Digest digest{};
    unsigned size = digest.size();
    HMAC(
        EVP_sha256(),
        key.data(),
        static_cast<int>(key.size()),
        bytes_of(data),
        data.size(),
        digest.data(),
        &size
    );
    return digest;
}

ports::Digest personal_digest(std::string_view message) {
    std::string text{
        "\x19"
        "Ethereum Signed Message:\n"
    };
    text.append(std::to_string(message.size())).append(message);
    return keccak256(text);
}

domain::Address checksummed(const domain::Address::Bytes& bytes) {
    static constexpr std::string_view hex = "0123456789abcdef";
    std::array<char, 42> text{'0', 'x'};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        text[2 + 2 * i] = hex[bytes[i] >> 4];
        text[3 + 2 * i] = hex[bytes[i] & 15];
    }
    const auto hash = keccak256({text.data() + 2, 40});
    for (std::size_t i = 0; i < 40; ++i) {
        const int nibble = i % 2 == 0 ? hash[i / 2] >> 4 : hash[i / 2] & 15;
        char& c = text[2 + i];
        if (nibble >= 8 && c >= 'a') {
            c = static_cast<char>(c - 'a' + 'A');
        }
    }
    return {bytes, {text.data(), text.size()}};
}

domain::Address address_of_key(std::span<const std::uint8_t, 65> uncompressed) {
    const auto hash = keccak256({reinterpret_cast<const char*>(uncompressed.data()) + 1, 64});
    domain::Address::Bytes bytes{};
    std::copy(hash.begin() + 12, hash.end(), bytes.begin());
    return checksummed(bytes);
}

}  // namespace vmm::crypto
