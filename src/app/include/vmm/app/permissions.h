#pragma once

#include "vmm/app/accounts.h"
#include "vmm/app/teams.h"
#include "vmm/domain/access.h"

namespace vmm::app {

// Looks up what the one permission function needs to know, and asks it. Thread-safe.
class Permissions {
public:
    Permissions(const Accounts& accounts, const Teams& teams) : accounts_{accounts}, teams_{teams} {}

    [[nodiscard]] domain::Standing standing(const domain::Caller& caller, const domain::Vm& vm) const;
    [[nodiscard]] bool may(const domain::Caller& caller, domain::Action action, const domain::Vm& vm) const;
    [[nodiscard]] domain::Role role_of(const domain::Caller& caller, const domain::Vm& vm) const;

    // Whether the machine is offered to the caller, or to a team of which the caller is an Owner.
    [[nodiscard]] bool receives(const domain::Caller& caller, const domain::Vm& vm) const;

    // Whether the caller may act for this owner: is it, or is an Owner of the team, or an administrator.
    [[nodiscard]] bool acts_for(const domain::Caller& caller, const domain::Owner& owner) const;

    // Whether the caller is a member of the team that this owner is.
    [[nodiscard]] bool member(const domain::Caller& caller, const domain::Owner& owner) const;

    // not_found when the caller may not see the machine, forbidden when the role is too low.
    [[nodiscard]] Result<void>
    check(const domain::Caller& caller, domain::Action action, const domain::Vm& vm) const;

private:
    const Accounts& accounts_;
    const Teams& teams_;
};

}  // namespace vmm::app
