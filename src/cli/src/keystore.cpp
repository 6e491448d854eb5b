#include "keystore.h"

#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/json/encode.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <memory>

namespace vmm::cli {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t most_scrypt_memory = 1ULL << 30;

struct Cipher {
    std::string iv;
};
BOOST_DESCRIBE_STRUCT(Cipher, (), (iv))

struct Kdf {
    std::uint32_t dklen = 32;
    std::optional<std::uint64_t> n;
    std::optional<std::uint32_t> r;
    std::optional<std::uint32_t> p;
    std::optional<std::uint32_t> c;
    std::optional<std::string> prf;
    std::string salt;
    static constexpr bool omit_empty = true;
};
BOOST_DESCRIBE_STRUCT(Kdf, (), (dklen, n, r, p, c, prf, salt))

struct Crypto {
    std::string cipher;
    Cipher cipherparams;
    std::string ciphertext;
    std::string kdf;
    Kdf kdfparams;
    std::string mac;
    static constexpr std::array required{"cipher", "cipherparams", "ciphertext", "kdf", "kdfparams", "mac"};
};
BOOST_DESCRIBE_STRUCT(Crypto, (), (cipher, cipherparams, ciphertext, kdf, kdfparams, mac))

struct KeyFile {
    int version = 3;
    std::string id;
    std::string address;
    Crypto crypto;
};
BOOST_DESCRIBE_STRUCT(KeyFile, (), (version, id, address, crypto))

std::unexpected<Error> no_key_file(std::string_view why) {
    return fail(Error{
        Code::malformed, "not a Web3 Secret Storage key file: " + std::string{why}
    }.with_slug("bad-key-file"));
}

std::string_view view(const Bytes& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Result<Bytes>
scrypt(std::string_view password, const Bytes& salt, std::uint64_t n, std::uint32_t r, std::uint32_t p) {
    Bytes key(32);
    const int done = EVP_PBE_scrypt(
        password.data(),
        password.size(),
        salt.data(),
        salt.size(),
        n,
        r,
        p,
        most_scrypt_memory,
        key.data(),
        key.size()
    );
    return done == 1 ? Result<Bytes>{std::move(key)}
                     : no_key_file("its scrypt parameters are not acceptable");
}

Result<Bytes> derive(const Crypto& crypto, std::string_view password) {
    const auto salt = from_hex(crypto.kdfparams.salt);
    if (!salt || crypto.kdfparams.dklen != 32) {
        return no_key_file("its salt or dklen is not one");
    }
    const auto& kdf = crypto.kdfparams;
    if (crypto.kdf == "scrypt" && kdf.n && kdf.r && kdf.p) {
        return scrypt(password, *salt, *kdf.n, *kdf.r, *kdf.p);
    }
    if (crypto.kdf == "pbkdf2" && kdf.c && *kdf.c <= 10'000'000 && kdf.prf == "hmac-sha256") {
        Bytes key(32);
        PKCS5_PBKDF2_HMAC(
            password.data(),
            static_cast<int>(password.size()),
            salt->data(),
            static_cast<int>(salt->size()),
            static_cast<int>(*kdf.c),
            EVP_sha256(),
            32,
            key.data()
        );
        return key;
    }
    return no_key_file("its kdf is neither scrypt nor pbkdf2 with hmac-sha256");
}

// AES-128-CTR, which is its own inverse.
Bytes aes_ctr(const Bytes& key, const Bytes& iv, std::span<const std::uint8_t> input) {
    Bytes output(input.size());
    const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context{
        EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free
    };
    int written = 0;
    EVP_EncryptInit_ex(context.get(), EVP_aes_128_ctr(), nullptr, key.data(), iv.data());
    EVP_EncryptUpdate(context.get(), output.data(), &written, input.data(), static_cast<int>(input.size()));
    return output;
}

std::string mac_of(const Bytes& key, const Bytes& ciphertext) {
    std::string text{view(key).substr(16, 16)};
    return to_hex(crypto::keccak256(text.append(view(ciphertext))));
}

// Other tools add members of their own (geth: none; ethers: "x-ethers"); only what is needed is read.
Result<KeyFile> read(std::string_view file) {
    const auto value = json::parse(file);
    const auto* crypto =
        value ? (value->find("crypto") != nullptr ? value->find("crypto") : value->find("Crypto")) : nullptr;
    const auto* version = value ? value->find("version") : nullptr;
    if (crypto == nullptr || version == nullptr || version->as<json::Number>() == nullptr ||
        version->as<json::Number>()->text != "3") {
        return no_key_file("it is no JSON of version 3");
    }
    KeyFile out;
    auto parts = json::decode<Crypto>(*crypto);
    if (!parts) {
        return no_key_file(parts.error().field() + ": " + parts.error().message());
    }
    out.crypto = *std::move(parts);
    out.address = value->text_or("address", "");
    return out;
}

}  // namespace

std::string encrypt_key(const crypto::Signer& signer, std::string_view password, int log2_n) {
    Bytes salt(32);
    Bytes iv(16);
    fill_random(salt);
    fill_random(iv);
    KeyFile file;
    file.id = uuid_of(new_id("key"));
    file.address = lower(signer.address().text().substr(2));
    file.crypto.cipher = "aes-128-ctr";
    file.crypto.cipherparams.iv = to_hex(iv);
    file.crypto.kdf = "scrypt";
    file.crypto.kdfparams.n = 1ULL << log2_n;
    file.crypto.kdfparams.r = 8;
    file.crypto.kdfparams.p = 1;
    file.crypto.kdfparams.salt = to_hex(salt);
    auto key = scrypt(password, salt, *file.crypto.kdfparams.n, 8, 1).value();
    const auto ciphertext = aes_ctr(key, iv, signer.bytes());
    file.crypto.ciphertext = to_hex(ciphertext);
    file.crypto.mac = mac_of(key, ciphertext);
    OPENSSL_cleanse(key.data(), key.size());
    return json::encode(file);
}

Result<crypto::Signer> decrypt_key(std::string_view text, std::string_view password) {
    TRY(const auto file, read(text));
    const auto iv = from_hex(file.crypto.cipherparams.iv);
    const auto ciphertext = from_hex(file.crypto.ciphertext);
    if (file.crypto.cipher != "aes-128-ctr" || !iv || iv->size() != 16 || !ciphertext ||
        ciphertext->size() != 32) {
        return no_key_file("its cipher is not aes-128-ctr over a key of 32 bytes");
    }
    TRY(auto key, derive(file.crypto, password));
    if (!equal_secret(mac_of(key, *ciphertext), lower(file.crypto.mac))) {
        return fail(
            Error{Code::unauthenticated, "the key file's password is wrong"}.with_slug("wrong-password")
        );
    }
    auto plain = aes_ctr(key, *iv, *ciphertext);
    const auto signer = crypto::Signer::from_bytes(plain);
    OPENSSL_cleanse(plain.data(), plain.size());
    OPENSSL_cleanse(key.data(), key.size());
    return signer ? Result<crypto::Signer>{*signer} : no_key_file("what it holds is no key");
}

std::string address_in(std::string_view file) {
    const auto value = json::parse(file);
    return value ? std::string{value->text_or("address", "")} : std::string{};
}

}  // namespace vmm::cli
