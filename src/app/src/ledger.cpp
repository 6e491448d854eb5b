#include "vmm/app/ledger.h"

#include "vmm/base/fault.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "keys.h"

namespace vmm::app {
namespace {

using namespace std::chrono_literals;
using proofs::LedgerMark;
using proofs::LedgerRecord;

constexpr std::size_t page_size = 500;
constexpr std::size_t most_at_once = 256;
constexpr auto patience = 5s;
constexpr auto gather_time = 100ms;

std::string mark_text(const LedgerMark& mark) {
    return std::to_string(mark.seq) + " " + mark.hash;
}

}  // namespace

Task<LedgerMark> Ledger::read_mark(std::string key) {
    const auto stored = co_await store_.get(std::move(key));
    if (!stored && stored.error().code() == Code::not_found) {
        co_return LedgerMark{};
    }
    if (!stored) {
        co_return std::unexpected{stored.error()};
    }
    const auto words = split(stored->value, ' ');
    const auto seq = words.empty() ? std::nullopt : parse_number<std::int64_t>(words[0]);
    if (!seq || words.size() != 2 || words[1].size() != proofs::no_hash.size()) {
        co_return fail(Error{Code::unavailable, "the ledger's end cannot be read from the state store"}
                           .with_slug("record-corrupt"));
    }
    co_return LedgerMark{*seq, words[1]};
}

Task<void> Ledger::load() {
    CO_TRY(base_, co_await read_mark(std::string{keys::ledger_base}));
    CO_TRY(head_, co_await read_mark(std::string{keys::ledger_head}));
    CO_CHECK(co_await seal_interrupted());
    co_return co_await rotate(now());
}

// What an earlier run has opened and not sealed: its request has begun to have effects, and no answer is
// known.
Task<void> Ledger::seal_interrupted() {
    std::string after;
    std::vector<Waiting> found;
    while (true) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::ledger_open}, after, page_size));
        for (const auto& each : records) {
            auto draft = std::make_shared<LedgerDraft>();
            CO_TRY(draft->record, proofs::read_ledger_record(each.value));
            draft->record.outcome = "interrupted";
            draft->key = each.key;
            draft->open = true;
            found.push_back({std::move(draft), std::nullopt, nullptr});
        }
        if (records.size() < page_size) {
            break;
        }
        after = records.back().key;
    }
    while (!found.empty()) {
        const auto count = std::min(found.size(), most_at_once);
        const std::vector<Waiting> batch(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count));
        auto mark = head_;
        auto transaction = sealed(batch, mark);
        CO_CHECK(co_await store_.commit(std::move(transaction)));
        head_ = mark;
        found.erase(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(count));
    }
    co_return Result<void>{};
}

std::shared_ptr<LedgerDraft> Ledger::draft(proofs::LedgerRecord record) {
    auto draft = std::make_shared<LedgerDraft>();
    draft->record = std::move(record);
    // In the order in which they were asked for; a client's request id may come twice.
    draft->key = std::string{keys::ledger_open}.append(new_id("rec"));
    return draft;
}

void Ledger::seal(std::shared_ptr<LedgerDraft> draft) {
    add({std::move(draft), std::nullopt, nullptr});
}

Task<void> Ledger::append(Ticket ticket) {
    Waiting waiting{ticket.draft, std::nullopt, nullptr};
    if (!ticket.replay_key.empty()) {
        waiting.also = ports::Put{ticket.replay_key, "1", ticket.replay_expires};
    }
    waiting.waiter = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, patience);
    const auto waiter = waiting.waiter;
    add(std::move(waiting));
    co_await waiter->async_wait(as_value);
    co_return Result<void>{};
}

void Ledger::add(Waiting waiting) {
    const bool urgent = waiting.waiter != nullptr;
    pending_.push_back(std::move(waiting));
    ++waiting_;
    if (urgent && gathering_) {
        gathering_->cancel();
    }
    if (!writing_) {
        writing_ = true;
        jobs_.spawn("ledger", write());
    }
}

// What nobody waits for may come together with what follows: one commit costs more than another record in it.
asio::awaitable<void> Ledger::gather() {
    if (std::ranges::any_of(pending_, [](const Waiting& each) { return each.waiter != nullptr; })) {
        co_return;
    }
    gathering_ = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, gather_time);
    const auto timer = gathering_;
    co_await timer->async_wait(as_value);
    gathering_.reset();
}

asio::awaitable<void> Ledger::write() {
    auto pause = 50ms;
    while (!pending_.empty()) {
        co_await gather();
        const auto count = std::min(pending_.size(), most_at_once);
        const std::vector<Waiting> batch(
            pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count)
        );
        auto mark = head_;
        auto transaction = sealed(batch, mark);
        fault_point("ledger.before-seal");
        const auto stored = co_await store_.commit(std::move(transaction));
        if (!stored) {
            spdlog::error(
                "the ledger cannot be written, trying again waiting={} error=\"{}\"",
                pending_.size(),
                stored.error().message()
            );
            co_await pause_for(pause);
            pause = std::min(pause * 2, 2000ms);
            continue;
        }
        pause = 50ms;
        head_ = mark;
        pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(count));
        waiting_ -= count;
        for (const auto& each : batch) {
            if (each.waiter) {
                each.waiter->expires_at(asio::steady_timer::time_point::min());
            }
        }
    }
    writing_ = false;
}

// Numbers, chains and hashes a batch; the mark moves to its last record. An open record is durable already,
// and would be sealed again after a loss of power.
ports::Transaction Ledger::sealed(const std::vector<Waiting>& batch, LedgerMark& mark) const {
    ports::Transaction transaction;
    transaction.outlives = ports::Outlives::process;
    for (const auto& each : batch) {
        auto& record = each.draft->record;
        record.seq = mark.seq + 1;
        record.prev = mark.hash;
        record.hash = proofs::hash_of(signatures_, record);
        mark = {record.seq, record.hash};
        transaction.puts.push_back({keys::ledger_record(record.seq), proofs::write(record), {}});
        transaction.puts.push_back({keys::ledger_entry(record.address, record.seq), "1", {}});
        if (each.draft->open) {
            transaction.removes.push_back(each.draft->key);
        }
        if (each.also) {
            transaction.puts.push_back(*each.also);
        }
        if (!each.draft->open || each.waiter) {
            transaction.outlives = ports::Outlives::power_loss;
        }
    }
    transaction.puts.push_back({std::string{keys::ledger_head}, mark_text(mark), {}});
    return transaction;
}

proofs::LedgerHead Ledger::signed_head(const LedgerMark& mark) const {
    proofs::LedgerHead head;
    head.seq = mark.seq;
    head.hash = mark.hash;
    head.at = rfc3339(now());
    head.signer = service.signer;
    const auto signature = service.sign(proofs::head_text(head));
    head.signature = to_hex(signature.rs) + (signature.recovery_id == 0 ? "1b" : "1c");
    return head;
}

Task<proofs::LedgerHead> Ledger::head() {
    const auto mark = head_;
    // Written again, so that what is signed outlives a loss of power.
    ports::Transaction durable;
    durable.puts.push_back({std::string{keys::ledger_head}, mark_text(mark), {}});
    CO_CHECK(co_await store_.commit(std::move(durable)));
    co_return signed_head(mark);
}

Task<void> Ledger::rotate(Timestamp at) {
    while (true) {
        CO_TRY(const auto more, co_await rotate_some(at));
        if (!more) {
            co_return Result<void>{};
        }
    }
}

}  // namespace vmm::app
