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
    ports::Transaction intent;
    ticket->add_to(intent, "op-1", "vm-1");
    ASSERT_TRUE(test::run(store.commit(std::move(intent))));
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
        return test::run(accounts.put(caller, address, {"name", {}, {}, {}}, expected, {}));
    }

    Settings settings;
    test::MemoryStore store;
    Registry registry;
    Teams teams{store};
    Accounts accounts{settings, store, registry, teams};
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
    Accounts again{settings, store, registry, teams};
    ASSERT_TRUE(test::run(again.load()));
    EXPECT_EQ(again.find(eve)->name, "name");
}

TEST_F(AccountsTest, AreRaisedAndSuspendedByAdministratorsAlone) {
    ASSERT_TRUE(put(admin, eve));
    const auto change = [&](const domain::Caller& by, AccountChange what) {
        return test::run(accounts.put(by, eve, std::move(what), {}, {}));
    };
    EXPECT_EQ(change(self, {{}, {}, true, {}}).error().field(), "administrator");
    EXPECT_EQ(change(self, {{}, {}, {}, domain::QuotaWish{}}).error().field(), "quotas");
    EXPECT_EQ(change(self, {{}, domain::AccountStatus::active, {}, {}}).error().field(), "status");
    ASSERT_TRUE(change(admin, {{}, {}, true, {}}));
    EXPECT_TRUE(accounts.administrator(eve));
    ASSERT_TRUE(change(admin, {{}, domain::AccountStatus::suspended, {}, {}}));
    EXPECT_FALSE(accounts.administrator(eve)) << "not while suspended";
    EXPECT_FALSE(accounts.active(eve));
    EXPECT_TRUE(accounts.registered(eve));
    EXPECT_EQ(accounts.find(eve)->name, "name") << "what is absent stays";
}

TEST_F(AccountsTest, OfTheConfigurationCannotBeLowered) {
    settings.administrators.push_back(ada);
    const auto refused =
        test::run(accounts.put(admin, ada, {{}, domain::AccountStatus::suspended, {}, {}}, {}, {}));
    EXPECT_EQ(refused.error().slug(), "account-configured");
    EXPECT_EQ(
        test::run(accounts.put(admin, ada, {{}, {}, false, {}}, {}, {})).error().slug(), "account-configured"
    );
}

Registry::Reader
reader(const domain::Address& address, bool administrator, std::set<std::string> teams = {}) {
    return {{address, administrator}, std::move(teams), [](const domain::Vm&) { return true; }};
}

TEST(Registry, ShowsEachCallerTheirOwn) {
    Registry registry;
    for (const auto& [id, owner] : {std::pair{"vm-1", ada}, std::pair{"vm-2", eve}, std::pair{"vm-3", ada}}) {
        domain::Vm vm;
        vm.id = id;
        vm.owner = owner;
        registry.put(vm);
    }
    EXPECT_EQ(registry.list(reader(ada, false), {}, "", 10).vms.size(), 2U);
    EXPECT_EQ(registry.list(reader(eve, true), {}, "", 10).vms.size(), 3U);
    const auto page = registry.list(reader(ada, false), {}, "", 1);
    EXPECT_TRUE(page.more);
    EXPECT_EQ(registry.list(reader(ada, false), {}, page.vms.back()->id, 10).vms.front()->id, "vm-3");
}

TEST(Registry, ShowsWhatIsSharedAndWhatTeamsOwn) {
    Registry registry;
    domain::Vm shared;
    shared.id = "vm-1";
    shared.owner = ada;
    shared.collaborators.push_back({eve, domain::Role::op, {}, ada, {}});
    registry.put(shared);
    domain::Vm of_team;
    of_team.id = "vm-2";
    of_team.owner = domain::Owner::of_team("team-1");
    registry.put(of_team);
    EXPECT_EQ(registry.list(reader(eve, false), {}, "", 10).vms.size(), 1U);
    EXPECT_EQ(registry.list(reader(eve, false, {"team-1"}), {}, "", 10).vms.size(), 2U);
    EXPECT_EQ(registry.list(reader(eve, false, {"team-1"}), {}, "vm-1", 10).vms.size(), 1U);
    EXPECT_EQ(registry.shared_with(eve).size(), 1U);
    shared.collaborators.clear();
    of_team.owner = ada;
    registry.put(shared);
    registry.put(of_team);
    EXPECT_TRUE(registry.list(reader(eve, false, {"team-1"}), {}, "", 10).vms.empty());
    EXPECT_EQ(registry.owned_by(ada), 2U);
}

TEST(Registry, NeverShowsWhatTheRuleForbids) {
    Registry registry;
    domain::Vm vm;
    vm.id = "vm-1";
    vm.owner = ada;
    registry.put(vm);
    auto no = reader(ada, false);
    no.may_see = [](const domain::Vm&) { return false; };
    EXPECT_TRUE(registry.list(no, {}, "", 10).vms.empty());
}

}  // namespace
}  // namespace vmm::app
