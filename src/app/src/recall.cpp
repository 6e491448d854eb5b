#include "recall.h"

#include "vmm/records/records.h"

namespace vmm::app {

bool key_was_taken(const Error& error, const Ticket& ticket) {
    return !ticket.idempotency_key.empty() && error.field() == ticket.idempotency_key;
}

Error explained(Error error, const Ticket& ticket) {
    if (error.slug() != "store-conflict") {
        return error;
    }
    if (error.field() == ticket.replay_key) {
        return Error{Code::conflict, "this signed request was used before"}.with_slug("replayed-request");
    }
    return Error{Code::conflict, "it has changed in between; try again"};
}

Task<std::optional<Begun>> recall(World& world, Ticket ticket) {
    if (ticket.idempotency_key.empty()) {
        co_return std::optional<Begun>{};
    }
    const auto bound = co_await world.store.get(ticket.idempotency_key);
    if (!bound && bound.error().code() == Code::not_found) {
        co_return std::optional<Begun>{};
    }
    if (!bound) {
        co_return std::unexpected{bound.error()};
    }
    CO_TRY(const auto first, records::read_remembered(bound->value));
    if (first.body_sha256 != ticket.body_sha256) {
        co_return fail(Error{Code::invalid, "this Idempotency-Key was used for another request"}
                           .with_slug("idempotency-key-reused")
                           .with_field("Idempotency-Key"));
    }
    Begun begun;
    begun.operation = first.operation;
    begun.vm = first.target;
    begun.recalled = true;
    const auto answered = co_await world.store.get(ticket.idempotency_key + "/answer");
    if (answered) {
        CO_TRY(auto given, records::read_remembered(answered->value));
        begun.first_answer = Answer{given.status, std::move(given.body), std::move(given.etag)};
    }
    co_return std::optional<Begun>{std::move(begun)};
}

}  // namespace vmm::app
