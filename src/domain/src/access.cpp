#include "vmm/domain/access.h"

#include <algorithm>
#include <array>

namespace vmm::domain {

Role role_of(const Address& address, Role in_team, const Vm& vm, Timestamp at) {
    if (vm.owner.is(address)) {
        return Role::owner;
    }
    const auto grant = std::ranges::find(vm.collaborators, address, &Grant::to);
    const bool valid = grant != vm.collaborators.end() && (!grant->expires_at || at < *grant->expires_at);
    const auto granted = valid ? grant->role : Role::none;
    return std::max(granted, vm.owner.team().empty() ? Role::none : in_team);
}

Role role_of(const Caller& caller, const Vm& vm, const Standing& standing) {
    if (caller.administrator) {
        return Role::owner;
    }
    auto role = role_of(caller.address, standing.in_team, vm, standing.at);
    if (caller.delegation) {
        for (const auto action : {Action::view, Action::operate, Action::configure, Action::own}) {
            if (may(caller, action, vm, standing)) {
                role = std::max(role, role_for(action));
            }
        }
    }
    return role;
}

bool may(const Caller& caller, Action action, const Vm& vm, const Standing& standing) {
    const auto needed = role_for(action);
    if (caller.administrator || role_of(caller.address, standing.in_team, vm, standing.at) >= needed) {
        return true;
    }
    const auto& given = caller.delegation;
    // Whoever may act on a machine may see it.
    const bool covers = given && given->vm == vm.id && (given->actions.has(action) || action == Action::view);
    return covers && action != Action::share && standing.of_giver >= needed;
}

bool is_receiver(const Address& address, Role in_receiving_team, const Vm& vm) {
    if (!vm.offer) {
        return false;
    }
    return vm.offer->to.is(address) ||
           (!vm.offer->to.team().empty() && in_receiving_team >= role_for(TeamAction::manage));
}

std::string acceptance_text(std::string_view vm, std::string_view to, std::int64_t until) {
    return std::string{"vmm-service: take over machine "}
        .append(vm)
        .append(" for ")
        .append(to)
        .append(" until ")
        .append(std::to_string(until));
}

std::optional<Owner> Owner::from_stored(std::string_view text) {
    if (text.starts_with("team-")) {
        return of_team(std::string{text});
    }
    const auto address = Address::from_stored(text);
    return address ? std::optional{Owner{*address}} : std::nullopt;
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
        case Action::share: return "share";
    }
    return "own";
}

std::string_view name(TeamAction action) {
    switch (action) {
        case TeamAction::view: return "view";
        case TeamAction::create: return "create";
        case TeamAction::manage: return "manage";
    }
    return "manage";
}

std::optional<Role> role_named(std::string_view text) {
    for (const auto role : {Role::read_only, Role::op, Role::manager, Role::owner}) {
        if (text == name(role)) {
            return role;
        }
    }
    return std::nullopt;
}

std::optional<Action> action_named(std::string_view text) {
    for (const auto action : {Action::view, Action::operate, Action::configure, Action::own, Action::share}) {
        if (text == name(action)) {
            return action;
        }
    }
    return std::nullopt;
}

}  // namespace vmm::domain
