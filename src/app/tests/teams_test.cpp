#include "vmm/app/teams.h"

#include <gtest/gtest.h>

#include "vmm_test/fakes.h"
#include "vmm_test/run.h"

namespace vmm::app {
namespace {

using domain::Role;

const auto ada = *domain::Address::from_stored("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
const auto bob = *domain::Address::from_stored("0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF");
const auto eve = *domain::Address::from_stored("0x2c7536E3605D9C16a7a3D7b1898e529396a65c23");

class TeamsTest : public ::testing::Test {
protected:
    TeamsTest() { team = test::run(teams.create(by_ada, "core", {}))->id; }

    Result<domain::Member> put(const domain::Caller& by, const domain::Address& who, Role role) {
        return test::run(teams.put_member(by, team, who, role, {}));
    }

    Result<void> remove(const domain::Caller& by, const domain::Address& who) {
        return test::run(teams.remove_member(by, team, who, {}));
    }

    test::MemoryStore store;
    Teams teams{store};
    domain::Caller by_ada{ada, false};
    domain::Caller by_bob{bob, false};
    domain::Caller by_eve{eve, false};
    std::string team;
};

TEST_F(TeamsTest, AreRunByTheirOwnersAlone) {
    EXPECT_EQ(put(by_bob, bob, Role::owner).error().code(), Code::not_found) << "not even seen";
    ASSERT_TRUE(put(by_ada, bob, Role::manager));
    EXPECT_EQ(put(by_bob, bob, Role::owner).error().code(), Code::forbidden) << "self-promotion";
    EXPECT_EQ(remove(by_bob, ada).error().code(), Code::forbidden);
    EXPECT_EQ(teams.role_in(team, bob), Role::manager);
    EXPECT_TRUE(remove(by_bob, bob)) << "anyone may leave";
    EXPECT_EQ(teams.role_in(team, bob), Role::none);
    EXPECT_TRUE(teams.of(bob).empty());
}

TEST_F(TeamsTest, KeepAnOwner) {
    ASSERT_TRUE(put(by_ada, bob, Role::manager));
    EXPECT_EQ(remove(by_ada, ada).error().slug(), "last-owner");
    EXPECT_EQ(put(by_ada, ada, Role::op).error().slug(), "last-owner");
    ASSERT_TRUE(put(by_ada, bob, Role::owner));
    EXPECT_TRUE(remove(by_ada, ada));
    EXPECT_EQ(remove(by_bob, bob).error().slug(), "last-owner");
}

TEST_F(TeamsTest, KeepAnOwnerAlsoWhenTwoLeaveAtOnce) {
    ASSERT_TRUE(put(by_ada, bob, Role::owner));
    asio::io_context loop;
    int left = 0;
    for (const auto& caller : {by_ada, by_bob}) {
        asio::co_spawn(
            loop,
            teams.remove_member(caller, team, caller.address, {}),
            [&left](const std::exception_ptr&, const Result<void>& done) { left += done ? 1 : 0; }
        );
    }
    loop.run();
    EXPECT_EQ(left, 1);
}

TEST_F(TeamsTest, HandTheChargeOnWhenTheChargedLeaves) {
    ASSERT_TRUE(put(by_ada, bob, Role::manager));
    ASSERT_TRUE(put(by_ada, eve, Role::owner));
    EXPECT_EQ(teams.find(team)->charged, ada);
    ASSERT_TRUE(remove(by_ada, ada));
    EXPECT_EQ(teams.find(team)->charged, eve);
    EXPECT_EQ(teams.charged_to(ada), 0U);
}

TEST_F(TeamsTest, StayWhileTheyOwnSomething) {
    bool owning = true;
    teams.owns = [&owning](const std::string&) { return owning; };
    EXPECT_EQ(test::run(teams.remove(by_ada, team, {})).error().slug(), "team-owns-machines");
    owning = false;
    EXPECT_TRUE(test::run(teams.remove(by_ada, team, {})));
    EXPECT_TRUE(teams.of(ada).empty());
    Teams again{store};
    ASSERT_TRUE(test::run(again.load()));
    EXPECT_FALSE(again.find(team));
}

TEST_F(TeamsTest, AreReadBackAfterARestart) {
    ASSERT_TRUE(put(by_ada, bob, Role::op));
    Teams again{store};
    ASSERT_TRUE(test::run(again.load()));
    EXPECT_EQ(again.role_in(team, bob), Role::op);
    EXPECT_EQ(again.role_in(team, ada), Role::owner);
    EXPECT_EQ(again.find(team)->name, "core");
}

TEST_F(TeamsTest, TakeTenThousandMembersAndNoMore) {
    const auto nth = [](std::size_t n) {
        domain::Address::Bytes bytes{};
        bytes[18] = static_cast<std::uint8_t>(n >> 8);
        bytes[19] = static_cast<std::uint8_t>(n);
        std::string text = "0x";
        for (const auto byte : bytes) {
            constexpr std::string_view digits = "0123456789abcdef";
            text.append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
        }
        return domain::Address{bytes, text};
    };
    for (std::size_t n = 1; n < domain::most_members; ++n) {
        ASSERT_TRUE(put(by_ada, nth(n), Role::read_only));
    }
    EXPECT_EQ(teams.members(team), domain::most_members);
    EXPECT_EQ(put(by_ada, bob, Role::read_only).error().slug(), "team-full");
    EXPECT_TRUE(put(by_ada, nth(7), Role::op)) << "those who are in may change";
    EXPECT_EQ(teams.page(team, {}, 10).size(), 10U);
    EXPECT_EQ(teams.page(team, nth(domain::most_members - 2), 10).size(), 2U);
}

}  // namespace
}  // namespace vmm::app
