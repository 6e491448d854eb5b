#pragma once

#include "vmm/base/error.h"
#include "vmm/ports/signatures.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// The ledger: one record for each request that would change something, each holding the hash of the one
// before it. What is here needs neither service nor store, so that anybody can check a ledger; docs/ledger.md
// has the format.
namespace vmm::proofs {

struct LedgerRecord {
    std::int64_t seq = 0;   // 1, 2, 3, …
    std::string at;         // RFC 3339
    std::string address;    // who asked, with EIP-55 checksum
    std::string method;     // as sent
    std::string target;     // as sent, with its query
    std::string action;     // the route: "POST /vms/{id}/start"
    std::string about;      // the id or name of what it was about, as far as it is known
    std::string outcome;    // allowed, denied (401, 403, 404), refused (another error), interrupted
    int status = 0;         // of the answer; 0 when the service ended before it gave one
    std::string code;       // of the problem, when it was one
    std::string operation;  // that it began
    std::string request_id;
    std::string peer;        // the address it came from
    std::string auth;        // signature, session, login, legacy
    std::string message;     // what was signed; empty when it is long, or nothing was
    std::string digest;      // the digest that was signed, in hex, when `message` is left out
    std::string signature;   // 65 bytes in hex
    std::string session;     // the session's id
    std::string capability;  // the token that gave the right
    std::string prev;        // hash of the record before; 64 zeros before the first
    std::string hash;        // SHA-256 of the canonical JSON of all the above
};

inline constexpr std::string_view no_hash =
    "0000000000000000000000000000000000000000000000000000000000000000";

// One line of JSON without its end.
std::string write(const LedgerRecord& record);
Result<LedgerRecord> read_ledger_record(std::string_view line);

// Of everything but `hash`, as Python's hashlib.sha256(json.dumps(record, sort_keys=True)) has it.
std::string hash_of(const ports::Signatures& signatures, const LedgerRecord& record);

// Where a ledger begins, or ends: the last record before, or the last one of all.
struct LedgerMark {
    std::int64_t seq = 0;
    std::string hash{no_hash};
    bool operator==(const LedgerMark&) const = default;
};

// The end of a ledger as the service signs it (EIP-191) with a key of its own.
struct LedgerHead {
    std::int64_t seq = 0;
    std::string hash{no_hash};
    std::string at;
    std::string signer;
    std::string signature;
};

std::string head_text(const LedgerHead& head);

// The first and the last line of an export.
std::string write_base(const LedgerMark& base);
std::string write_head(const LedgerHead& head);

// Checks an export line by line. Used by one thread.
class LedgerCheck {
public:
    struct Expected {
        std::string signer;              // of the head; empty: any
        std::optional<LedgerMark> mark;  // that must lie in the chain, seen earlier
        bool gaps = false;               // only some of the records are here: one's own
    };

    LedgerCheck(const ports::Signatures& signatures, Expected expected)
        : signatures_{signatures}, expected_{std::move(expected)} {}

    void add(std::string_view line);
    // After the last line.
    void finish();

    [[nodiscard]] const std::vector<std::string>& findings() const { return findings_; }

    [[nodiscard]] std::size_t records() const { return records_; }

    [[nodiscard]] std::size_t signatures() const { return signatures_checked_; }

    [[nodiscard]] const std::optional<LedgerHead>& head() const { return head_; }

    [[nodiscard]] const LedgerMark& last() const { return last_; }

private:
    void add_record(const LedgerRecord& record);
    void add_head(LedgerHead head);
    void check_signature(const LedgerRecord& record);
    void check_message(const LedgerRecord& record);
    void check_capability(const LedgerRecord& record);
    void find(const std::string& what);

    const ports::Signatures& signatures_;
    Expected expected_;
    std::vector<std::string> findings_;
    std::map<std::string, std::string> sessions_;  // id and address, of the logins so far
    LedgerMark last_;
    bool begun_ = false;
    bool from_the_start_ = true;
    bool mark_seen_ = false;
    std::optional<LedgerHead> head_;
    std::size_t line_ = 0;
    std::size_t records_ = 0;
    std::size_t signatures_checked_ = 0;
};

}  // namespace vmm::proofs
