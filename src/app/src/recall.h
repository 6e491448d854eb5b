#pragma once

#include "vmm/app/begun.h"
#include "vmm/app/ticket.h"
#include "vmm/app/world.h"

// What repeated and simultaneous requests are told.
namespace vmm::app {

// What an Idempotency-Key that was used before has begun. invalid when it was another request.
Task<std::optional<Begun>> recall(World& world, Ticket ticket);

// A second request may carry the same Idempotency-Key while the first is being stored.
bool key_was_taken(const Error& error, const Ticket& ticket);

// The store's refusals in the caller's words.
Error explained(Error error, const Ticket& ticket);

}  // namespace vmm::app
