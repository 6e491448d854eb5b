#include "vmm/app/operations.h"

#include "vmm/records/records.h"

#include "keys.h"

namespace vmm::app {
namespace {

constexpr std::size_t page = 1000;
constexpr auto lifetime = std::chrono::hours{24};
constexpr std::size_t most_kept = 20'000;  // in memory

std::unexpected<Error> unknown() {
    return fail(Code::not_found, "there is no such operation, or it is not visible to you");
}

}  // namespace

bool Operations::visible(const domain::Caller& caller, const domain::Operation& operation) const {
    if (caller.administrator) {
        return true;
    }
    const auto machine = sees ? sees(caller, operation.target) : std::nullopt;
    return machine.value_or(operation.requested_by == caller.address);
}

Task<void> Operations::load() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::operations}, after, page));
        for (const auto& record : records) {
            CO_TRY(auto operation, records::read_operation(record.value));
            put(std::move(operation));
        }
        if (records.size() < page) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

void Operations::put(domain::Operation operation) {
    auto& entry = entries_[operation.id];
    entry.operation = std::move(operation);
    if (domain::ended(entry.operation.status)) {
        for (const auto& waiter : std::exchange(entry.waiting, {})) {
            waiter->expires_at(asio::steady_timer::time_point::min());
        }
    }
}

ports::Put Operations::record(const domain::Operation& operation) {
    std::optional<Timestamp> expires;
    if (domain::ended(operation.status)) {
        expires = operation.updated_at.plus(lifetime);
    }
    return {keys::operation(operation.id), records::write(operation), expires};
}

std::optional<domain::Operation> Operations::find(const std::string& id) const {
    const auto found = entries_.find(id);
    return found == entries_.end() ? std::nullopt : std::optional{found->second.operation};
}

Result<domain::Operation> Operations::show(const domain::Caller& caller, const std::string& id) const {
    auto found = find(id);
    if (!found || !visible(caller, *found)) {
        return unknown();
    }
    return *std::move(found);
}

Operations::Page Operations::list(
    const domain::Caller& caller,
    const std::string& target,
    std::optional<domain::Progress> status,
    const std::string& after,
    std::size_t limit
) const {
    Page out;
    auto place = after.empty() ? entries_.end() : entries_.lower_bound(after);
    while (place != entries_.begin()) {
        --place;
        const auto& operation = place->second.operation;
        if (!visible(caller, operation) || (!target.empty() && operation.target != target) ||
            (status && operation.status != *status)) {
            continue;
        }
        if (out.operations.size() == limit) {
            out.more = true;
            break;
        }
        out.operations.push_back(operation);
    }
    return out;
}

Task<domain::Operation> Operations::wait(std::string id, std::chrono::milliseconds limit) {
    const auto found = entries_.find(id);
    if (found == entries_.end()) {
        co_return unknown();
    }
    if (!domain::ended(found->second.operation.status) && limit.count() > 0) {
        auto timer = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, limit);
        found->second.waiting.push_back(timer);
        co_await timer->async_wait(as_value);
    }
    // Looked up again: it may have been forgotten meanwhile.
    const auto now_found = entries_.find(id);
    if (now_found == entries_.end()) {
        co_return unknown();
    }
    std::erase_if(now_found->second.waiting, [](const auto& waiter) {
        return waiter->expiry() <= std::chrono::steady_clock::now();
    });
    co_return now_found->second.operation;
}

std::vector<domain::Operation> Operations::open() const {
    std::vector<domain::Operation> out;
    for (const auto& [id, entry] : entries_) {
        if (!domain::ended(entry.operation.status)) {
            out.push_back(entry.operation);
        }
    }
    return out;
}

void Operations::forget_old(Timestamp at) {
    std::size_t surplus = entries_.size() > most_kept ? entries_.size() - most_kept : 0;
    // In the order of creation, so that the surplus takes the oldest.
    std::erase_if(entries_, [at, &surplus](const auto& entry) {
        const auto& operation = entry.second.operation;
        if (!domain::ended(operation.status)) {
            return false;
        }
        const bool too_many = surplus > 0;
        surplus -= too_many ? 1 : 0;
        return too_many || operation.updated_at.plus(lifetime) <= at;
    });
}

}  // namespace vmm::app
