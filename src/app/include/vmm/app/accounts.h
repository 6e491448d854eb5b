#pragma once

#include "vmm/app/registry.h"
#include "vmm/app/settings.h"
#include "vmm/app/ticket.h"
#include "vmm/base/task.h"
#include "vmm/domain/account.h"
#include "vmm/ports/signatures.h"
#include "vmm/ports/state_store.h"

#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>

namespace vmm::app {

// The registered developers. Looking up is thread-safe and never waits for the store; changes are made on the
// application's executor.
class Accounts {
public:
    Accounts(const Settings& settings, ports::StateStore& store, const Registry& registry)
        : settings_{settings}, store_{store}, registry_{registry} {}

    Task<void> load();

    [[nodiscard]] std::optional<domain::Account> find(const domain::Address& address) const;

    // Administrators are accounts by configuration.
    [[nodiscard]] bool administrator(const domain::Address& address) const;
    [[nodiscard]] bool registered(const domain::Address& address) const;

    // Creates or changes an account. forbidden: creating is for administrators, and for anyone about
    // themselves when registration is open. `expected_revision` as for If-Match.
    Task<domain::Account> put(
        domain::Caller caller,
        domain::Address address,
        std::string name,
        std::optional<std::int64_t> expected_revision,
        Ticket ticket
    );

    // conflict "account-owns-machines" while machines are owned.
    Task<void> remove(domain::Caller caller, domain::Address address, Ticket ticket);

    // not_found for others than self and administrators.
    [[nodiscard]] Result<domain::Account> show(const domain::Caller& caller, const domain::Address& address)
        const;

private:
    const Settings& settings_;
    ports::StateStore& store_;
    const Registry& registry_;
    mutable std::shared_mutex mutex_;
    std::unordered_map<domain::Address, domain::Account, domain::AddressHash> accounts_;
};

}  // namespace vmm::app
