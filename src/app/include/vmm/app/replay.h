#pragma once

#include "vmm/app/ticket.h"
#include "vmm/base/task.h"
#include "vmm/domain/address.h"
#include "vmm/ports/signatures.h"
#include "vmm/ports/state_store.h"

#include <mutex>
#include <string>
#include <unordered_map>

namespace vmm::app {

// The memory of signatures that have been used. Filled from the store at start; a claim becomes durable with
// the request's intent, or with its record in the ledger when it had none. Thread-safe.
class Replay {
public:
    explicit Replay(ports::StateStore& store) : store_{store} {}

    Task<void> load();

    // Takes the pair; conflict "replayed-request" when it was taken before, unavailable when a million are
    // held.
    Result<Ticket> claim(const domain::Address& address, const ports::Digest& digest, Timestamp expires);

    // The same of anything else that is good once, such as a sign-in message's nonce.
    Result<Ticket> claim(const std::string& what, Timestamp expires);

    void forget_expired(Timestamp at);

private:
    ports::StateStore& store_;
    std::mutex mutex_;
    std::unordered_map<std::string, Timestamp> used_;
};

}  // namespace vmm::app
