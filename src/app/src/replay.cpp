#include "vmm/app/replay.h"

#include "vmm/base/text.h"
#include "vmm/records/records.h"

#include "keys.h"

namespace vmm::app {
namespace {

constexpr std::size_t most_held = 1'000'000;
constexpr std::size_t page = 1000;
constexpr auto idempotency_lifetime = std::chrono::hours{24};

}  // namespace

void Ticket::add_to(ports::Transaction& transaction, const std::string& operation, const std::string& target)
    const {
    if (!replay_key.empty()) {
        transaction.expect.push_back({replay_key, 0});
        transaction.puts.push_back({replay_key, "1", replay_expires});
    }
    if (!idempotency_key.empty()) {
        records::Remembered bound;
        bound.body_sha256 = body_sha256;
        bound.operation = operation;
        bound.target = target;
        transaction.expect.push_back({idempotency_key, 0});
        transaction.puts.push_back({idempotency_key, records::write(bound), now().plus(idempotency_lifetime)}
        );
    }
    if (draft) {
        draft->record.operation = operation;
        if (draft->record.about.empty()) {
            draft->record.about = target;
        }
        draft->open = true;
        transaction.puts.push_back({draft->key, proofs::write(draft->record), {}});
    }
}

Task<void> Replay::load() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::nonces}, after, page));
        const std::lock_guard lock{mutex_};
        for (const auto& record : records) {
            used_.emplace(record.key, record.expires_at.value_or(now()));
        }
        if (records.size() < page) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

Result<Ticket> Replay::claim(const domain::Address& address, const ports::Digest& digest, Timestamp expires) {
    return claim(std::string{address.text()}.append("/").append(to_hex(digest)), expires);
}

Result<Ticket> Replay::claim(const std::string& what, Timestamp expires) {
    Ticket ticket;
    ticket.replay_key = std::string{keys::nonces}.append(what);
    ticket.replay_expires = expires;
    const std::lock_guard lock{mutex_};
    if (used_.size() >= most_held) {
        return fail(Error{
            Code::unavailable, "the memory of used signatures holds its most, " + std::to_string(most_held)
        }
                        .with_retry_after(60));
    }
    if (!used_.emplace(ticket.replay_key, expires).second) {
        return fail(Error{Code::conflict, "this signed request was used before"}
                        .with_slug("replayed-request")
                        .with_hint("sign again with a new X-Timestamp; fractions of a second are accepted"));
    }
    return ticket;
}

void Replay::forget_expired(Timestamp at) {
    const std::lock_guard lock{mutex_};
    std::erase_if(used_, [at](const auto& entry) { return entry.second <= at; });
}

}  // namespace vmm::app
