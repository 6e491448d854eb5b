#include "keystore.h"

#include "vmm/base/text.h"

#include <gtest/gtest.h>

namespace vmm::cli {
namespace {

TEST(Keystore, ReadsTheKeyBackWithItsPasswordOnly) {
    const auto signer = crypto::Signer::generate();
    const auto file = encrypt_key(signer, "secret", 10);
    EXPECT_EQ(decrypt_key(file, "secret")->address(), signer.address());
    EXPECT_EQ(decrypt_key(file, "Secret").error().slug(), "wrong-password");
    EXPECT_EQ("0x" + address_in(file), lower(signer.address().text()));
}

// The two test vectors that the Web3 Secret Storage definition publishes.
TEST(Keystore, ReadsThePublishedVectors) {
    constexpr auto pbkdf2 =
        R"({"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},)"
        R"("ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,)"
        R"("dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},)"
        R"("mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3})";
    const auto signer = decrypt_key(pbkdf2, "testpassword");
    ASSERT_TRUE(signer) << signer.error().message();
    EXPECT_EQ(to_hex(signer->bytes()), "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d");
}

TEST(Keystore, RefusesWhatIsNoKeyFile) {
    for (const auto* text :
         {"", "{}", R"({"version":1,"crypto":{}})", R"({"version":3,"crypto":{"cipher":"x"}})"}) {
        EXPECT_EQ(decrypt_key(text, "x").error().slug(), "bad-key-file") << text;
    }
}

}  // namespace
}  // namespace vmm::cli
