#pragma once

#include "vmm/app/settings.h"
#include "vmm/app/ticket.h"
#include "vmm/base/task.h"
#include "vmm/domain/access.h"
#include "vmm/domain/session.h"
#include "vmm/ports/signatures.h"
#include "vmm/ports/state_store.h"

#include <optional>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace vmm::app {

// Those who have signed in. Looking up is thread-safe and never waits for the store; changes are made on the
// application's executor.
class Sessions {
public:
    Sessions(const Settings& settings, ports::StateStore& store, const ports::Signatures& signatures)
        : settings_{settings}, store_{store}, signatures_{signatures} {}

    Task<void> load();

    // Of a token as it comes in; nothing when it is unknown or has ended. Looked up by its hash, so that the
    // time that it takes says nothing of the token.
    [[nodiscard]] std::optional<domain::Session> find(std::string_view token, Timestamp at) const;

    // Whether the session is still there; for streams that stay open.
    [[nodiscard]] bool open(const std::string& id, Timestamp at) const;

    struct Opened {
        std::string token;
        domain::Session session;
    };

    // Ends at `latest` at the latest. The oldest of an address' sessions makes room when it has a hundred.
    Task<Opened> begin(domain::Session session, std::optional<Timestamp> latest, Ticket ticket);

    // By age.
    [[nodiscard]] std::vector<domain::Session> of(const domain::Address& address, Timestamp at) const;

    // One, or all when the id is empty. not_found.
    Task<void> end(domain::Address address, std::string id, Ticket ticket);

    void forget_expired(Timestamp at);

private:
    const Settings& settings_;
    ports::StateStore& store_;
    const ports::Signatures& signatures_;
    mutable std::shared_mutex mutex_;
    std::unordered_map<std::string, domain::Session> by_hash_;
};

}  // namespace vmm::app
