#include "vmm/base/text.h"
#include "vmm/crypto/signatures.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace vmm::crypto {
namespace {

// The order of the curve, to make the malleable twin of a signature.
constexpr std::string_view order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

const std::unique_ptr<ports::Signatures> signatures = create_signatures();

Signer signer_one() {
    return *Signer::from_bytes(*from_hex("0000000000000000000000000000000000000000000000000000000000000001"));
}

TEST(Hashes, MatchTheirPublishedValues) {
    EXPECT_EQ(to_hex(keccak256("")), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    EXPECT_EQ(
        to_hex(signatures->sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    EXPECT_EQ(
        to_hex(signatures->sha3_256("")), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"
    );
}

TEST(Signatures, RecoverTheKnownAddress) {
    const auto signature = signer_one().sign("/vms:1700000001:");
    EXPECT_EQ(
        to_hex(signature.rs),
        "3ac94b2542ed52574fbfc42f1f514c67793295b878afe13fd57b61522dc30ac119e02fa5090a4357869163beec60951ecdbd"
        "1686b86c02833081a282931d18dc"
    );
    const auto address = signatures->recover(signatures->personal_digest("/vms:1700000001:"), signature);
    ASSERT_TRUE(address);
    EXPECT_EQ(address->text(), "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
}

TEST(Signatures, RefuseTheMalleableTwin) {
    auto signature = signer_one().sign("hello");
    const auto n = *from_hex(order);
    int borrow = 0;
    for (std::size_t i = 32; i-- > 0;) {
        const int value = n[i] - signature.rs[32 + i] - borrow;
        borrow = value < 0 ? 1 : 0;
        signature.rs[32 + i] = static_cast<std::uint8_t>(value + 256 * borrow);
    }
    signature.recovery_id ^= 1;
    const auto refused = signatures->recover(signatures->personal_digest("hello"), signature);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().slug(), "bad-signature");
}

TEST(Signatures, RefuseOutOfRange) {
    ports::Signature signature;
    EXPECT_FALSE(signatures->recover({}, signature));
    signature.rs.fill(0xff);
    EXPECT_FALSE(signatures->recover({}, signature));
}

TEST(Signatures, EveryFlippedBitGivesAnErrorOrAStranger) {
    const auto good = signer_one().sign("flip");
    const auto digest = signatures->personal_digest("flip");
    for (std::size_t bit = 0; bit < 512; ++bit) {
        auto flipped = good;
        flipped.rs[bit / 8] ^= static_cast<std::uint8_t>(1 << (bit % 8));
        const auto address = signatures->recover(digest, flipped);
        EXPECT_TRUE(!address || *address != signer_one().address()) << bit;
    }
}

TEST(Addresses, VerifyTheChecksumWhenTheCaseIsMixed) {
    EXPECT_TRUE(signatures->parse_address("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"));
    EXPECT_TRUE(signatures->parse_address("7e5f4552091a69125d5dfcb7b8c2659029395bdf"));
    EXPECT_TRUE(signatures->parse_address("0x7E5F4552091A69125D5DFCB7B8C2659029395BDF"));
    EXPECT_FALSE(signatures->parse_address("0x7e5F4552091A69125d5DfCb7b8C2659029395Bdf"));
    EXPECT_FALSE(signatures->parse_address("0x7E5F"));
    EXPECT_FALSE(signatures->parse_address("0xZZ5F4552091A69125d5DfCb7b8C2659029395Bdf"));
}

TEST(Signer, RefusesWhatIsNoKey) {
    EXPECT_FALSE(Signer::from_bytes(std::vector<std::uint8_t>(32, 0)));
    EXPECT_FALSE(Signer::from_bytes(*from_hex(order)));
    EXPECT_FALSE(Signer::from_bytes(std::vector<std::uint8_t>(31, 1)));
    EXPECT_NE(Signer::generate().address(), Signer::generate().address());
}

}  // namespace
}  // namespace vmm::crypto
