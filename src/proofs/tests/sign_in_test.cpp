#include "vmm/proofs/sign_in.h"

#include "vmm/crypto/signatures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>

namespace vmm::proofs {
namespace {

const std::string whole =
    "https://vmm.example:3003 wants you to sign in with your Ethereum account:\n"
    "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf\n"
    "\n"
    "Sign in to drive machines.\n"
    "\n"
    "URI: https://vmm.example:3003/console\n"
    "Version: 1\n"
    "Chain ID: 1\n"
    "Nonce: 32891756abcd\n"
    "Issued At: 2026-01-31T12:00:00.000Z\n"
    "Expiration Time: 2026-01-31T12:10:00Z\n"
    "Not Before: 2026-01-31T11:59:00+00:00\n"
    "Request ID: 7\n"
    "Resources:\n"
    "- ipfs://x\n"
    "- https://y";

class SignInTest : public ::testing::Test {
protected:
    static std::string with(std::string from, const std::string& to) {
        auto text = whole;
        const auto at = text.find(from);
        EXPECT_NE(at, std::string::npos) << from;
        return text.replace(at, from.size(), to);
    }

    std::string refusal(const std::string& message, const std::string& at = "2026-01-31T12:00:01Z") {
        const auto read = read_sign_in(*signatures, message);
        if (!read) {
            return std::string{read.error().slug()};
        }
        const auto good = check_sign_in(*read, rules, *parse_rfc3339(at));
        return good ? "" : std::string{good.error().slug()};
    }

    std::unique_ptr<ports::Signatures> signatures = crypto::create_signatures();
    SignInRules rules{{"vmm.example:3003"}, 1, std::chrono::seconds{300}};
};

TEST_F(SignInTest, ReadsEveryPart) {
    const auto read = read_sign_in(*signatures, whole);
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->scheme, "https");
    EXPECT_EQ(read->domain, "vmm.example:3003");
    EXPECT_EQ(read->statement, "Sign in to drive machines.");
    EXPECT_EQ(read->nonce, "32891756abcd");
    EXPECT_EQ(rfc3339(*read->not_before), "2026-01-31T11:59:00.000Z");
    EXPECT_EQ(refusal(whole), "");
}

TEST_F(SignInTest, ReadsWhatHasOnlyTheRequiredParts) {
    const auto least =
        "vmm.example:3003 wants you to sign in with your Ethereum account:\n"
        "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf\n\n\n"
        "URI: http://vmm.example:3003\nVersion: 1\nChain ID: 1\nNonce: 12345678\n"
        "Issued At: 2026-01-31T12:00:00Z";
    EXPECT_EQ(refusal(least), "");
}

TEST_F(SignInTest, RefusesWhatIsForOthers) {
    EXPECT_EQ(refusal(with("//vmm.example:3003 wants", "//evil.example wants")), "wrong-domain");
    EXPECT_EQ(refusal(with("URI: https://vmm.example:3003", "URI: https://evil.example")), "wrong-domain");
    EXPECT_EQ(refusal(with("Chain ID: 1", "Chain ID: 5")), "wrong-chain");
}

TEST_F(SignInTest, RefusesWhatIsNotGoodNow) {
    EXPECT_EQ(refusal(whole, "2026-01-31T12:10:00Z"), "message-expired");
    EXPECT_EQ(refusal(whole, "2026-01-31T11:50:00Z"), "message-not-yet-valid");
    EXPECT_EQ(refusal(whole, "2026-01-31T11:57:00Z"), "") << "within the window that clocks may differ";
    EXPECT_EQ(
        refusal(with("Expiration Time: 2026-01-31T12:10:00Z\n", ""), "2026-02-01T12:10:00Z"),
        "message-expired"
    ) << "an old message without an end";
}

TEST_F(SignInTest, RefusesWhatTheGrammarDoesNotHave) {
    for (const auto& broken :
         {std::string{},
          std::string{"hello"},
          with("wants you to", "want you to"),
          with("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf", "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"),
          with("0x7E5F", "0x7e5F"),
          with("Version: 1", "Version: 2"),
          with("Chain ID: 1", "Chain ID: one"),
          with("Issued At: 2026", "Issued At: soon"),
          with("Nonce: ", "nonce: "),
          with("\n\nURI", "\nURI"),
          whole + "\nMore: x",
          std::string(5000, 'x')}) {
        EXPECT_EQ(refusal(broken), "bad-sign-in-message") << broken;
    }
}

TEST_F(SignInTest, NoncesAreOursAndEnd) {
    const auto at = *parse_rfc3339("2026-01-31T12:00:00Z");
    const auto nonce = make_nonce(*signatures, "key", at);
    EXPECT_TRUE(std::ranges::all_of(nonce, [](char c) { return std::isalnum(c) != 0; })) << nonce;
    EXPECT_TRUE(check_nonce(*signatures, "key", nonce, at.plus(std::chrono::minutes{9})));
    EXPECT_FALSE(check_nonce(*signatures, "key", nonce, at.plus(std::chrono::minutes{10})));
    EXPECT_FALSE(check_nonce(*signatures, "other", nonce, at));
    auto changed = nonce;
    changed[2] ^= 1;
    EXPECT_EQ(check_nonce(*signatures, "key", changed, at).error().slug(), "bad-nonce");
    EXPECT_FALSE(check_nonce(*signatures, "key", "12345678", at));
    EXPECT_NE(nonce, make_nonce(*signatures, "key", at));
}

}  // namespace
}  // namespace vmm::proofs
