#include "vmm/domain/access.h"

#include "vmm/domain/account.h"

#include <gtest/gtest.h>

#include <array>

namespace vmm::domain {
namespace {

const auto ada = *Address::from_stored("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf");
const auto bob = *Address::from_stored("0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF");
const auto eve = *Address::from_stored("0x2c7536E3605D9C16a7a3D7b1898e529396a65c23");

constexpr std::array actions{Action::view, Action::operate, Action::configure, Action::own, Action::share};
constexpr std::array roles{Role::none, Role::read_only, Role::op, Role::manager, Role::owner};
const Timestamp today{1'000'000};

Vm machine_of(const Owner& owner) {
    Vm vm;
    vm.id = "vm-1";
    vm.owner = owner;
    return vm;
}

Standing in_team(Role role) {
    return {role, Role::none, today};
}

// What each role may do, spelled out rather than computed.
bool expected(Role role, Action action) {
    switch (action) {
        case Action::view: return role != Role::none;
        case Action::operate: return role == Role::op || role == Role::manager || role == Role::owner;
        case Action::configure: return role == Role::manager || role == Role::owner;
        case Action::own:
        case Action::share: return role == Role::owner;
    }
    return false;
}

TEST(Access, OfOwnerAdministratorAndStranger) {
    const auto vm = machine_of(ada);
    for (const auto action : actions) {
        EXPECT_TRUE(may({ada, false}, action, vm, in_team(Role::none)));
        EXPECT_TRUE(may({eve, true}, action, vm, in_team(Role::none)));
        EXPECT_FALSE(may({eve, false}, action, vm, in_team(Role::none)));
    }
}

TEST(Access, OfCollaboratorsIsTheirRoleUntilItExpires) {
    for (const auto role : roles) {
        if (role == Role::none) {
            continue;
        }
        auto vm = machine_of(ada);
        vm.collaborators.push_back({bob, role, Timestamp{today.ms + 1}, ada, {}});
        Standing later = in_team(Role::none);
        later.at = {today.ms + 1};
        for (const auto action : actions) {
            EXPECT_EQ(may({bob, false}, action, vm, in_team(Role::none)), expected(role, action));
            EXPECT_FALSE(may({eve, false}, action, vm, in_team(Role::none)));
            EXPECT_FALSE(may({bob, false}, action, vm, later)) << "expired";
        }
    }
}

TEST(Access, OfMembersIsTheirRoleInTheOwningTeam) {
    for (const auto role : roles) {
        for (const auto action : actions) {
            const auto of_team = machine_of(Owner::of_team("team-1"));
            EXPECT_EQ(may({bob, false}, action, of_team, in_team(role)), expected(role, action));
            EXPECT_FALSE(may({bob, false}, action, machine_of(ada), in_team(role))) << "no team owns it";
        }
    }
}

TEST(Access, IsTheStrongestOfAllRelations) {
    auto vm = machine_of(Owner::of_team("team-1"));
    vm.collaborators.push_back({bob, Role::op, {}, ada, {}});
    EXPECT_EQ(role_of({bob, false}, vm, in_team(Role::read_only)), Role::op);
    EXPECT_EQ(role_of({bob, false}, vm, in_team(Role::manager)), Role::manager);
    EXPECT_EQ(role_of({bob, true}, vm, in_team(Role::none)), Role::owner);
}

TEST(Access, OfACapabilityIsItsActionsAsFarAsItsGiverHasThem) {
    const auto vm = machine_of(ada);
    Caller holder{bob, false};
    holder.delegation = Delegation{ada, "vm-1", {Action::operate}};
    for (const auto giver : roles) {
        const Standing standing{Role::none, giver, today};
        EXPECT_EQ(may(holder, Action::operate, vm, standing), giver >= Role::op);
        EXPECT_EQ(may(holder, Action::view, vm, standing), giver >= Role::read_only);
        EXPECT_FALSE(may(holder, Action::configure, vm, standing));
    }
    const Standing owner{Role::none, Role::owner, today};
    EXPECT_EQ(role_of(holder, vm, owner), Role::op);
    auto other = vm;
    other.id = "vm-2";
    EXPECT_FALSE(may(holder, Action::view, other, owner)) << "another machine";
    holder.delegation->actions = {
        Action::view, Action::operate, Action::configure, Action::own, Action::share
    };
    EXPECT_TRUE(may(holder, Action::own, vm, owner));
    EXPECT_FALSE(may(holder, Action::share, vm, owner)) << "never delegated";
}

TEST(Access, OfAReceiverEndsAtTheOffer) {
    auto vm = machine_of(ada);
    EXPECT_FALSE(is_receiver(bob, Role::none, vm));
    vm.offer = Offer{bob, false, ada, today};
    EXPECT_TRUE(is_receiver(bob, Role::none, vm));
    EXPECT_FALSE(is_receiver(eve, Role::owner, vm));
    EXPECT_FALSE(may({bob, false}, Action::view, vm, in_team(Role::none)));
    vm.offer->to = Owner::of_team("team-1");
    EXPECT_TRUE(is_receiver(eve, Role::owner, vm));
    EXPECT_FALSE(is_receiver(eve, Role::manager, vm));
}

TEST(Access, NamesCanBeRead) {
    for (const auto role : roles) {
        EXPECT_EQ(role_named(name(role)), role == Role::none ? std::nullopt : std::optional{role});
    }
    for (const auto action : actions) {
        EXPECT_EQ(action_named(name(action)), action);
    }
    EXPECT_EQ(Owner::from_stored(Owner{ada}.text()), Owner{ada});
    EXPECT_EQ(Owner::from_stored("team-1"), Owner::of_team("team-1"));
    EXPECT_FALSE(Owner::from_stored("nobody"));
}

TEST(Quotas, CountWhatIsWantedAgainstWhatIsAllowed) {
    Usage used;
    used.machines = 2;
    used.vcpus = 8;
    Usage one;
    one.machines = 1;
    one.vcpus = 4;
    Quotas most;
    EXPECT_TRUE(check_quotas(used, one, most)) << "no limit";
    most.machines = 3;
    EXPECT_TRUE(check_quotas(used, one, most));
    most.vcpus = 11;
    const auto refused = check_quotas(used, one, most);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().slug(), "quota-exceeded");
    EXPECT_EQ(refused.error().field(), "vcpus");
    most.machines = 1;
    most.vcpus = 0;
    Usage disk;
    disk.disk_bytes = 1;
    EXPECT_TRUE(check_quotas(used, disk, most)) << "over, but none of it is wanted";
}

TEST(Quotas, OfAnAccountGoBeforeTheHosts) {
    QuotaWish wish;
    wish.machines = 0;
    wish.vcpus = 2;
    Quotas host;
    host.machines = 5;
    host.images = 7;
    const auto in_force = wish.over(host);
    EXPECT_EQ(in_force.machines, 0U) << "no limit";
    EXPECT_EQ(in_force.vcpus, 2U);
    EXPECT_EQ(in_force.images, 7U);
}

}  // namespace
}  // namespace vmm::domain
