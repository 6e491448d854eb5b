#pragma once

#include "vmm/base/time.h"
#include "vmm/ports/state_store.h"
#include "vmm/proofs/ledger.h"

#include <memory>
#include <string>

namespace vmm::app {

// A request's record in the ledger while the request is on its way.
struct LedgerDraft {
    proofs::LedgerRecord record;
    std::string key;    // of the open record in the store
    bool open = false;  // the open record has gone into an intent, which may have failed
};

// What a mutating request leaves in the state store in the same transaction as its intent: that its signature
// is used, what its Idempotency-Key is bound to, and its open record in the ledger. All empty for what the
// service does by itself.
struct Ticket {
    std::string replay_key;  // the store's key of the used signature, or empty
    Timestamp replay_expires;
    std::string idempotency_key;         // the store's key of the caller's Idempotency-Key, or empty
    std::string body_sha256;             // of method, target and body: what the key was first used for
    std::shared_ptr<LedgerDraft> draft;  // the request's record, or nothing

    // Adds all to the intent of this operation on this target.
    void add_to(ports::Transaction& transaction, const std::string& operation, const std::string& target)
        const;
};

}  // namespace vmm::app
