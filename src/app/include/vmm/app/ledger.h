#pragma once

#include "vmm/app/settings.h"
#include "vmm/app/ticket.h"
#include "vmm/base/files.h"
#include "vmm/base/group.h"
#include "vmm/base/task.h"
#include "vmm/domain/access.h"
#include "vmm/ports/signatures.h"
#include "vmm/ports/state_store.h"
#include "vmm/proofs/ledger.h"

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vmm::app {

// The service's own signature under the ledger's end.
struct LedgerSeal {
    std::string signer;                                              // address
    std::function<ports::Signature(std::string_view message)> sign;  // EIP-191
};

// The chain of records in the store. A request's record is opened in the transaction of its intent and
// sealed, in the order of their ends, when its answer is known; what has no intent is sealed at once. A
// record that was opened is never lost: what a killed service has left open is sealed at the next start. Used
// on the application's executor.
class Ledger {
public:
    Ledger(
        const Settings& settings,
        ports::StateStore& store,
        const ports::Signatures& signatures,
        Group& jobs
    )
        : settings_{settings}, store_{store}, signatures_{signatures}, jobs_{jobs} {}

    Task<void> load();

    // Whether further records find room; thread-safe. They do not when the store has failed for long.
    [[nodiscard]] bool accepts() const { return waiting_ < most_waiting; }

    // A record that is on its way; thread-safe.
    static std::shared_ptr<LedgerDraft> draft(proofs::LedgerRecord record);

    // Seals an open record by and by.
    void seal(std::shared_ptr<LedgerDraft> draft);

    // Seals a record that may not be open, together with the used signature; returns when both are stored, or
    // when that takes too long, though they will be.
    Task<void> append(Ticket ticket);

    struct Filter {
        std::string address;  // only theirs; empty: all
        std::string about;
        std::string outcome;
    };

    struct Page {
        std::vector<proofs::LedgerRecord> records;  // newest first
        std::int64_t next = 0;                      // `before` of the next page; 0 when there is none
    };

    // Records with smaller numbers than `before`; 0 begins with the newest.
    Task<Page> page(Filter filter, std::int64_t before, std::size_t limit);

    // The end, signed, and durable.
    Task<proofs::LedgerHead> head();

    // Everything from the base to the head as JSON lines, in a file without a name.
    Task<std::shared_ptr<Fd>> export_all();

    // Moves what is too old, or too much, out of the store.
    Task<void> rotate(Timestamp at);

    // Set before load().
    LedgerSeal service;

private:
    static constexpr std::size_t most_waiting = 10'000;

    struct Waiting {
        std::shared_ptr<LedgerDraft> draft;
        std::optional<ports::Put> also;
        std::shared_ptr<asio::steady_timer> waiter;  // expired when it is stored
    };

    void add(Waiting waiting);
    asio::awaitable<void> write();
    asio::awaitable<void> gather();
    ports::Transaction sealed(const std::vector<Waiting>& batch, proofs::LedgerMark& mark) const;
    [[nodiscard]] proofs::LedgerHead signed_head(const proofs::LedgerMark& mark) const;
    Task<proofs::LedgerMark> read_mark(std::string key);
    Task<void> seal_interrupted();
    Task<proofs::LedgerRecord> record(std::int64_t seq);
    Task<bool> rotate_some(Timestamp at);

    const Settings& settings_;
    ports::StateStore& store_;
    const ports::Signatures& signatures_;
    Group& jobs_;
    proofs::LedgerMark base_;
    proofs::LedgerMark head_;
    std::deque<Waiting> pending_;
    std::atomic<std::size_t> waiting_{0};
    bool writing_ = false;
    std::shared_ptr<asio::steady_timer> gathering_;  // runs while more are waited for
};

}  // namespace vmm::app
