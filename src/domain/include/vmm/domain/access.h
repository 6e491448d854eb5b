#pragma once

#include "vmm/domain/address.h"
#include "vmm/domain/vm.h"

#include <cstdint>
#include <string_view>

namespace vmm::domain {

// The product's permission levels, weakest first.
enum class Role : std::uint8_t { none, read_only, op, manager, owner };

// What one can want to do with a machine.
enum class Action : std::uint8_t {
    view,       // see it
    operate,    // start, stop, restart, pause, resume
    configure,  // change what it is
    own,        // delete it, give it away
};

// Who is asking. Administrators are named by the configuration.
struct Caller {
    Address address;
    bool administrator = false;
};

// The weakest role that may do this.
constexpr Role role_for(Action action) {
    switch (action) {
        case Action::view: return Role::read_only;
        case Action::operate: return Role::op;
        case Action::configure: return Role::manager;
        case Action::own: return Role::owner;
    }
    return Role::owner;
}

// The strongest role that the caller's relations to the machine give.
Role role_of(const Caller& caller, const Vm& vm);

// The one permission function.
bool may(const Caller& caller, Action action, const Vm& vm);

std::string_view name(Role role);
std::string_view name(Action action);

}  // namespace vmm::domain
