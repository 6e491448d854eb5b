#include "vmm/app/sessions.h"

#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/records/records.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "keys.h"
#include "recall.h"

namespace vmm::app {
namespace {

constexpr std::size_t page_size = 1000;
constexpr std::size_t most_of_one = 100;

}  // namespace

Task<void> Sessions::load() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::sessions}, after, page_size));
        const std::unique_lock lock{mutex_};
        for (const auto& record : records) {
            CO_TRY(auto session, records::read_session(record.value));
            const auto hash = session.token_hash;
            by_hash_.insert_or_assign(hash, std::move(session));
        }
        if (records.size() < page_size) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

std::optional<domain::Session> Sessions::find(std::string_view token, Timestamp at) const {
    const auto hash = to_hex(signatures_.sha256(token));
    const std::shared_lock lock{mutex_};
    const auto found = by_hash_.find(hash);
    return found == by_hash_.end() || found->second.expires_at <= at ? std::nullopt
                                                                     : std::optional{found->second};
}

bool Sessions::open(const std::string& id, Timestamp at) const {
    const std::shared_lock lock{mutex_};
    return std::ranges::any_of(by_hash_, [&](const auto& each) {
        return each.second.id == id && at < each.second.expires_at;
    });
}

std::vector<domain::Session> Sessions::of(const domain::Address& address, Timestamp at) const {
    std::vector<domain::Session> out;
    {
        const std::shared_lock lock{mutex_};
        for (const auto& [hash, session] : by_hash_) {
            if (session.address == address && at < session.expires_at) {
                out.push_back(session);
            }
        }
    }
    std::ranges::sort(out, {}, &domain::Session::id);
    return out;
}

Task<Sessions::Opened>
Sessions::begin(domain::Session session, std::optional<Timestamp> latest, Ticket ticket) {
    std::array<std::uint8_t, 32> secret{};
    fill_random(secret);
    Opened opened;
    opened.token = "vmms_" + to_hex(secret);
    session.id = new_id("sess");
    session.token_hash = to_hex(signatures_.sha256(opened.token));
    session.created_at = now();
    session.expires_at = session.created_at.plus(settings_.session_lifetime);
    if (latest && *latest < session.expires_at) {
        session.expires_at = *latest;
    }
    ports::Transaction transaction;
    transaction.puts.push_back(
        {keys::session(session.token_hash), records::write(session), session.expires_at}
    );
    const auto others = of(session.address, session.created_at);
    std::string oldest;
    if (others.size() >= most_of_one) {
        oldest = others.front().token_hash;
        transaction.removes.push_back(keys::session(oldest));
    }
    if (ticket.draft) {
        ticket.draft->record.session = session.id;
    }
    ticket.add_to(transaction, "", session.id);
    auto stored = co_await store_.commit(std::move(transaction));
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    const std::unique_lock lock{mutex_};
    by_hash_.erase(oldest);
    by_hash_.emplace(session.token_hash, session);
    opened.session = std::move(session);
    co_return opened;
}

Task<void> Sessions::end(domain::Address address, std::string id, Ticket ticket) {
    ports::Transaction transaction;
    std::vector<std::string> ended;
    for (const auto& session : of(address, now())) {
        if (id.empty() || session.id == id) {
            transaction.removes.push_back(keys::session(session.token_hash));
            ended.push_back(session.token_hash);
        }
    }
    if (ended.empty() && !id.empty()) {
        co_return fail(Code::not_found, "you have no session " + quote(id));
    }
    ticket.add_to(transaction, "", id);
    auto stored = co_await store_.commit(std::move(transaction));
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    const std::unique_lock lock{mutex_};
    for (const auto& hash : ended) {
        by_hash_.erase(hash);
    }
    co_return Result<void>{};
}

void Sessions::forget_expired(Timestamp at) {
    const std::unique_lock lock{mutex_};
    std::erase_if(by_hash_, [at](const auto& each) { return each.second.expires_at <= at; });
}

}  // namespace vmm::app
