#pragma once

#include "vmm/base/time.h"
#include "vmm/ports/state_store.h"

#include <string>

namespace vmm::app {

// What a mutating request leaves in the state store in the same transaction as its intent: that its signature
// is used, and what its Idempotency-Key is bound to. Both empty for what the service does by itself.
struct Ticket {
    std::string replay_key;  // the store's key of the used signature, or empty
    Timestamp replay_expires;
    std::string idempotency_key;  // the store's key of the caller's Idempotency-Key, or empty
    std::string body_sha256;      // of method, target and body: what the key was first used for

    // Adds both to the intent of this operation on this target.
    void add_to(ports::Transaction& transaction, const std::string& operation, const std::string& target)
        const;
};

}  // namespace vmm::app
