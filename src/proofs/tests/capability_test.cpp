#include "vmm/proofs/capability.h"

#include "vmm/crypto/signatures.h"

#include <gtest/gtest.h>

namespace vmm::proofs {
namespace {

constexpr std::int64_t today = 1'800'000'000;

class CapabilityTest : public ::testing::Test {
protected:
    // Signs one more link at the end of the chain.
    void pass_on(
        const crypto::Signer& by,
        const domain::Address& to,
        std::vector<std::string> actions,
        std::int64_t expires = today + 60
    ) {
        Link link;
        link.vm = "vm-1";
        link.to = to;
        link.actions = std::move(actions);
        link.expires = expires;
        link.nonce[15] = static_cast<std::uint8_t>(links.size());
        const auto digest = link_digest(*signatures, link, parent);
        link.signature = by.sign_digest(digest);
        links.push_back(link);
        parent = digest;
    }

    Result<Capability> verified(std::int64_t at = today) {
        auto read = read_capability(*signatures, write_capability(links));
        return read ? verify_capability(*signatures, *read, at) : std::unexpected{read.error()};
    }

    std::unique_ptr<ports::Signatures> signatures = crypto::create_signatures();
    crypto::Signer ada = crypto::Signer::generate();
    crypto::Signer bob = crypto::Signer::generate();
    crypto::Signer eve = crypto::Signer::generate();
    std::vector<Link> links;
    ports::Digest parent{};
};

TEST_F(CapabilityTest, SaysWhoGaveWhatToWhom) {
    pass_on(ada, bob.address(), {"view", "operate"});
    const auto said = verified();
    ASSERT_TRUE(said) << said.error().message();
    EXPECT_EQ(said->delegation.giver, ada.address());
    EXPECT_EQ(said->holder, bob.address());
    EXPECT_EQ(said->delegation.vm, "vm-1");
    EXPECT_TRUE(said->delegation.actions.has(domain::Action::operate));
    EXPECT_FALSE(said->delegation.actions.has(domain::Action::configure));
}

TEST_F(CapabilityTest, MayBePassedOnWithLessInIt) {
    pass_on(ada, bob.address(), {"view", "operate"});
    pass_on(bob, eve.address(), {"view"}, today + 30);
    const auto said = verified();
    ASSERT_TRUE(said) << said.error().message();
    EXPECT_EQ(said->delegation.giver, ada.address());
    EXPECT_EQ(said->holder, eve.address());
    EXPECT_FALSE(said->delegation.actions.has(domain::Action::operate));
    EXPECT_EQ(said->expires, today + 30);
    EXPECT_EQ(said->signers.size(), 2U);
}

TEST_F(CapabilityTest, IsNeverWidened) {
    const auto widened = [this] {
        const auto said = verified();
        links.pop_back();
        return said ? std::string{"passed"} : std::string{said.error().slug()};
    };
    pass_on(ada, bob.address(), {"operate"});
    const auto first = parent;
    pass_on(bob, eve.address(), {"operate", "configure"});
    EXPECT_EQ(widened(), "capability-widened");
    parent = first;
    pass_on(bob, eve.address(), {"operate"}, today + 61);
    EXPECT_EQ(widened(), "capability-widened");
    parent = first;
    pass_on(eve, eve.address(), {"operate"});
    EXPECT_EQ(widened(), "capability-widened") << "not signed by the holder";
    parent = {};
    pass_on(bob, eve.address(), {"operate"});
    EXPECT_EQ(widened(), "capability-widened") << "of another chain";
    parent = first;
    pass_on(bob, eve.address(), {"operate"});
    links.back().vm = "vm-2";
    EXPECT_EQ(widened(), "capability-widened");
}

TEST_F(CapabilityTest, EveryChangeOfALinkMakesAnotherSigner) {
    pass_on(ada, bob.address(), {"view"});
    const auto giver = [this](auto change) {
        auto changed = links;
        change(changed.front());
        return verify_capability(*signatures, changed, today)->delegation.giver;
    };
    EXPECT_NE(giver([](Link& link) { link.vm = "vm-2"; }), ada.address());
    EXPECT_NE(giver([this](Link& link) { link.to = eve.address(); }), ada.address());
    EXPECT_NE(giver([](Link& link) { link.actions = {"own"}; }), ada.address());
    EXPECT_NE(giver([](Link& link) { ++link.expires; }), ada.address());
    EXPECT_NE(giver([](Link& link) { ++link.nonce[0]; }), ada.address());
}

TEST_F(CapabilityTest, Ends) {
    pass_on(ada, bob.address(), {"view"});
    EXPECT_EQ(verified(today + 60).error().slug(), "capability-expired");
    links.clear();
    parent = {};
    pass_on(ada, bob.address(), {"view"}, today + longest_capability_s + 1);
    EXPECT_EQ(verified().error().slug(), "capability-too-long");
}

TEST_F(CapabilityTest, NeverGivesTheRightToShare) {
    pass_on(ada, bob.address(), {"share"});
    EXPECT_EQ(verified().error().slug(), "bad-capability");
}

TEST_F(CapabilityTest, ThatCannotBeReadIsRefused) {
    for (const auto* text : {"", "cap1.", "cap2.W10", "cap1.W10", "cap1.!!", "cap1.e30", "cap1.W3t9XQ"}) {
        EXPECT_EQ(read_capability(*signatures, text).error().code(), Code::malformed) << text;
    }
    for (std::size_t i = 0; i <= most_links; ++i) {
        pass_on(ada, ada.address(), {"view"});
    }
    EXPECT_EQ(verified().error().slug(), "bad-capability") << "too long a chain";
}

}  // namespace
}  // namespace vmm::proofs
