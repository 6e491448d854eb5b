#pragma once

#include "vmm/domain/address.h"
#include "vmm/domain/roles.h"
#include "vmm/domain/vm.h"

#include <optional>
#include <string>
#include <string_view>

namespace vmm::domain {

// What the holder of a capability may do with one machine, on behalf of whoever gave it. Verified when the
// caller was; see capability.h.
struct Delegation {
    Address giver;  // who signed its first link
    std::string vm;
    Actions actions;
};

// Who is asking.
struct Caller {
    Caller() = default;

    Caller(const Address& who, bool is_administrator) : address{who}, administrator{is_administrator} {}

    Address address;
    bool administrator = false;
    std::optional<Delegation> delegation;
};

// What is looked up beside the machine's own record, for one caller and one machine.
struct Standing {
    Role in_team = Role::none;   // the caller's role in the team that owns the machine
    Role of_giver = Role::none;  // the role that whoever gave the caller a capability has themselves
    Timestamp at;                // when grants are held against their expiry
};

// The strongest role that these relations give to an address: owner, collaborator, member of the owning team.
Role role_of(const Address& address, Role in_team, const Vm& vm, Timestamp at);

// The strongest role that the caller has: the above, administrator of the host, or what a capability gives.
Role role_of(const Caller& caller, const Vm& vm, const Standing& standing);

// The one permission function. A capability gives its own actions, as far as its giver has them; it never
// gives Action::share.
bool may(const Caller& caller, Action action, const Vm& vm, const Standing& standing);

// Whether the machine has been offered to the address, or to a team in which it is an Owner.
bool is_receiver(const Address& address, Role in_receiving_team, const Vm& vm);

// What the receiver of a machine signs (EIP-191) to take it over without being asked again. `to` is the
// address, or the team's id; `until` is in Unix seconds.
std::string acceptance_text(std::string_view vm, std::string_view to, std::int64_t until);

// What a member of a team may do with the team.
enum class TeamAction : std::uint8_t {
    view,    // see it and its members
    create,  // make machines that it owns
    manage,  // change it, its members and their roles; delete it
};

constexpr Role role_for(TeamAction action) {
    switch (action) {
        case TeamAction::view: return Role::read_only;
        case TeamAction::create: return Role::manager;
        case TeamAction::manage: return Role::owner;
    }
    return Role::owner;
}

std::string_view name(TeamAction action);

}  // namespace vmm::domain
