#include "vmm/app/accounts.h"
#include "vmm/app/replay.h"

#include <gtest/gtest.h>

#include "vmm_test/fakes.h"
#include "vmm_test/run.h"

namespace vmm::app {
namespace {

const auto ada = *domain::Address::from_stored("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
const auto eve = *domain::Address::from_stored("0x2c7536E3605D9C16a7a3D7b1898e529396a65c23");

TEST(Replay, TakesAPairOnceAlsoAfterARestart) {
    test::MemoryStore store;
    Replay replay{store};
    const auto later = now().plus(std::chrono::minutes{5});
    auto ticket = replay.claim(ada, {}, later);
    ASSERT_TRUE(ticket);
    EXPECT_EQ(replay.claim(ada, {}, later).error().slug(), "replayed-request");
    EXPECT_TRUE(replay.claim(eve, {}, later)) << "another's pair";
    ASSERT_TRUE(test::run(replay.remember(*ticket)));
    Replay after{store};
    ASSERT_TRUE(test::run(after.load()));
    EXPECT_FALSE(after.claim(ada, {}, later));
    after.forget_expired(later.plus(std::chrono::seconds{1}));
    EXPECT_TRUE(after.claim(ada, {}, later));
}

class AccountsTest : public ::testing::Test {
protected:
    Result<domain::Account>
    put(domain::Caller caller, domain::Address address, std::optional<std::int64_t> expected = {}) {
        return test::run(accounts.put(caller, address, "name", expected, {}));
    }

    Settings settings;
    test::MemoryStore store;
    Registry registry;
    Accounts accounts{settings, store, registry};
    domain::Caller admin{ada, true};
    domain::Caller self{eve, false};
};

TEST_F(AccountsTest, AreMadeByAdministratorsWhileRegistrationIsClosed) {
    EXPECT_EQ(put(self, eve).error().slug(), "registration-closed");
    EXPECT_TRUE(put(admin, eve));
    EXPECT_TRUE(accounts.registered(eve));
    EXPECT_TRUE(put(self, eve)) << "one's own name may change";
    EXPECT_EQ(put(self, ada).error().code(), Code::not_found);
}

TEST_F(AccountsTest, AreMadeByAnyoneForThemselvesWhenItIsOpen) {
    settings.registration = Registration::open;
    EXPECT_TRUE(put(self, eve));
}

TEST_F(AccountsTest, KeepTheirRevision) {
    EXPECT_EQ(put(admin, eve, 1).error().code(), Code::precondition_failed);
    EXPECT_EQ(put(admin, eve, 0)->revision, 1);
    EXPECT_EQ(put(admin, eve, 1)->revision, 2);
}

TEST_F(AccountsTest, StayWhileTheyOwnMachines) {
    ASSERT_TRUE(put(admin, eve));
    domain::Vm vm;
    vm.id = "vm-1";
    vm.owner = eve;
    registry.put(vm);
    EXPECT_EQ(test::run(accounts.remove(admin, eve, {})).error().slug(), "account-owns-machines");
    registry.erase("vm-1");
    EXPECT_TRUE(test::run(accounts.remove(admin, eve, {})));
    EXPECT_FALSE(accounts.registered(eve));
}

TEST_F(AccountsTest, AreReadBackAfterARestart) {
    ASSERT_TRUE(put(admin, eve));
    Accounts again{settings, store, registry};
    ASSERT_TRUE(test::run(again.load()));
    EXPECT_EQ(again.find(eve)->name, "name");
}

TEST(Registry, ShowsEachCallerTheirOwn) {
    Registry registry;
    for (const auto& [id, owner] : {std::pair{"vm-1", ada}, std::pair{"vm-2", eve}, std::pair{"vm-3", ada}}) {
        domain::Vm vm;
        vm.id = id;
        vm.owner = owner;
        registry.put(vm);
    }
    EXPECT_EQ(registry.list({ada, false}, {}, "", 10).vms.size(), 2U);
    EXPECT_EQ(registry.list({eve, true}, {}, "", 10).vms.size(), 3U);
    const auto page = registry.list({ada, false}, {}, "", 1);
    EXPECT_TRUE(page.more);
    EXPECT_EQ(registry.list({ada, false}, {}, page.vms.back()->id, 10).vms.front()->id, "vm-3");
}

}  // namespace
}  // namespace vmm::app
