#include "vmm/app/permissions.h"

#include "vmm/base/text.h"

namespace vmm::app {

using domain::Action;
using domain::Role;

domain::Standing Permissions::standing(const domain::Caller& caller, const domain::Vm& vm) const {
    domain::Standing out;
    out.at = now();
    if (const auto& team = vm.owner.team(); !team.empty()) {
        out.in_team = teams_.role_in(team, caller.address);
    }
    if (caller.delegation && caller.delegation->vm == vm.id) {
        const auto& giver = caller.delegation->giver;
        if (accounts_.active(giver)) {
            out.of_giver = accounts_.administrator(giver)
                               ? Role::owner
                               : domain::role_of(giver, teams_.role_in(vm.owner.team(), giver), vm, out.at);
        }
    }
    return out;
}

bool Permissions::may(const domain::Caller& caller, Action action, const domain::Vm& vm) const {
    return domain::may(caller, action, vm, standing(caller, vm));
}

Role Permissions::role_of(const domain::Caller& caller, const domain::Vm& vm) const {
    return domain::role_of(caller, vm, standing(caller, vm));
}

bool Permissions::receives(const domain::Caller& caller, const domain::Vm& vm) const {
    return vm.offer &&
           domain::is_receiver(caller.address, teams_.role_in(vm.offer->to.team(), caller.address), vm);
}

bool Permissions::acts_for(const domain::Caller& caller, const domain::Owner& owner) const {
    return caller.administrator || owner.is(caller.address) ||
           teams_.role_in(owner.team(), caller.address) >= role_for(domain::TeamAction::manage);
}

bool Permissions::member(const domain::Caller& caller, const domain::Owner& owner) const {
    return teams_.role_in(owner.team(), caller.address) != Role::none;
}

Result<void> Permissions::check(const domain::Caller& caller, Action action, const domain::Vm& vm) const {
    const auto stands = standing(caller, vm);
    if (domain::may(caller, action, vm, stands)) {
        return {};
    }
    if (!domain::may(caller, Action::view, vm, stands)) {
        return fail(Code::not_found, "there is no machine " + quote(vm.id) + ", or it is not visible to you");
    }
    const auto role = domain::role_of(caller, vm, stands);
    if (role >= role_for(action)) {
        return fail(Error{Code::forbidden, "a capability does not give the right to share a machine"}
                        .with_slug("not-delegable"));
    }
    return fail(
        Code::forbidden,
        "this needs the role " + std::string{name(role_for(action))} + "; you have " + std::string{name(role)}
    );
}

}  // namespace vmm::app
