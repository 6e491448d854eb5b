#pragma once

#include "vmm/app/registry.h"
#include "vmm/app/settings.h"
#include "vmm/app/teams.h"
#include "vmm/app/ticket.h"
#include "vmm/base/task.h"
#include "vmm/domain/account.h"
#include "vmm/ports/signatures.h"
#include "vmm/ports/state_store.h"

#include <functional>
#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>

namespace vmm::app {

// What a PUT may change; what is absent stays. All but the name is for administrators.
struct AccountChange {
    std::optional<std::string> name;
    std::optional<domain::AccountStatus> status;
    std::optional<bool> administrator;
    std::optional<domain::QuotaWish> quotas;  // as a whole
};

// The registered developers. Looking up is thread-safe and never waits for the store; changes are made on the
// application's executor.
class Accounts {
public:
    Accounts(const Settings& settings, ports::StateStore& store, const Registry& registry, Teams& teams)
        : settings_{settings}, store_{store}, registry_{registry}, teams_{teams} {}

    Task<void> load();

    [[nodiscard]] std::optional<domain::Account> find(const domain::Address& address) const;

    // By configuration, or made one by an administrator and not suspended.
    [[nodiscard]] bool administrator(const domain::Address& address) const;
    // By configuration: neither suspended nor removed by anybody.
    [[nodiscard]] bool configured(const domain::Address& address) const;
    [[nodiscard]] bool registered(const domain::Address& address) const;
    // Registered and not suspended.
    [[nodiscard]] bool active(const domain::Address& address) const;

    // Creates or changes an account. forbidden: creating is for administrators, and for anyone about
    // themselves when registration is open; all but the name is for administrators. conflict
    // "account-configured". `expected_revision` as for If-Match.
    Task<domain::Account> put(
        domain::Caller caller,
        domain::Address address,
        AccountChange change,
        std::optional<std::int64_t> expected_revision,
        Ticket ticket
    );

    // Its memberships, and the roles that it was given on machines, end with it. conflict
    // "account-owns-machines", "last-owner" of a team.
    Task<void> remove(domain::Caller caller, domain::Address address, Ticket ticket);

    // not_found for others than self and administrators.
    [[nodiscard]] Result<domain::Account> show(const domain::Caller& caller, const domain::Address& address)
        const;

    // Ends the roles that an address has on others' machines; set by the Fleet.
    std::function<Task<void>(domain::Address)> forget_grants;

private:
    Result<void> check_change(
        const domain::Caller& caller,
        const domain::Address& address,
        const AccountChange& change
    ) const;

    const Settings& settings_;
    ports::StateStore& store_;
    const Registry& registry_;
    Teams& teams_;
    mutable std::shared_mutex mutex_;
    std::unordered_map<domain::Address, domain::Account, domain::AddressHash> accounts_;
};

}  // namespace vmm::app
