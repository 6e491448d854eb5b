#pragma once

#include "vmm/app/permissions.h"
#include "vmm/app/ticket.h"
#include "vmm/base/task.h"
#include "vmm/domain/session.h"
#include "vmm/ports/state_store.h"
#include "vmm/proofs/capability.h"

#include <map>
#include <shared_mutex>
#include <string>
#include <vector>

namespace vmm::app {

// The links of capabilities that have been called back before their time. Looking up is thread-safe; changes
// are made on the application's executor.
class Revocations {
public:
    Revocations(ports::StateStore& store, const Permissions& permissions)
        : store_{store}, permissions_{permissions} {}

    Task<void> load();

    // unauthenticated "capability-revoked" when one of its links is.
    [[nodiscard]] Result<void> check(const proofs::Capability& capability) const;

    [[nodiscard]] std::vector<domain::Revocation> of(const std::string& vm) const;

    // Calls back the caller's own link of it with all that was passed on from there; all of it for those who
    // may share the machine, which is null when there is none. forbidden.
    Task<domain::Revocation>
    revoke(domain::Caller caller, proofs::Capability capability, const domain::Vm* vm, Ticket ticket);

    void forget_expired(Timestamp at);

private:
    ports::StateStore& store_;
    const Permissions& permissions_;
    mutable std::shared_mutex mutex_;
    std::map<std::string, domain::Revocation> by_id_;
};

}  // namespace vmm::app
