#include "vmm/domain/access.h"

namespace vmm::domain {

Role role_of(const Caller& caller, const Vm& vm) {
    if (caller.administrator || caller.address == vm.owner) {
        return Role::owner;
    }
    return Role::none;
}

bool may(const Caller& caller, Action action, const Vm& vm) {
    return role_of(caller, vm) >= role_for(action);
}

std::string_view name(Role role) {
    switch (role) {
        case Role::none: return "none";
        case Role::read_only: return "ReadOnly";
        case Role::op: return "Operator";
        case Role::manager: return "Manager";
        case Role::owner: return "Owner";
    }
    return "none";
}

std::string_view name(Action action) {
    switch (action) {
        case Action::view: return "view";
        case Action::operate: return "operate";
        case Action::configure: return "configure";
        case Action::own: return "own";
    }
    return "own";
}

}  // namespace vmm::domain
