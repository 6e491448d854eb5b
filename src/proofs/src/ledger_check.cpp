#include "vmm/base/text.h"
#include "vmm/json/decode.h"
#include "vmm/proofs/capability.h"
#include "vmm/proofs/ledger_json.h"
#include "vmm/proofs/sign_in.h"

#include <algorithm>

namespace vmm::proofs {
namespace {

std::optional<ports::Signature> signature_of(const std::string& text) {
    const auto bytes = from_hex(text);
    if (!bytes || bytes->size() != 65 || (bytes->back() != 27 && bytes->back() != 28)) {
        return std::nullopt;
    }
    ports::Signature out;
    std::copy_n(bytes->begin(), 64, out.rs.begin());
    out.recovery_id = bytes->back() - 27;
    return out;
}

std::optional<ports::Digest> digest_of(const ports::Signatures& signatures, const LedgerRecord& record) {
    if (!record.message.empty()) {
        return record.auth == "legacy" ? signatures.sha3_256(record.message)
                                       : signatures.personal_digest(record.message);
    }
    const auto bytes = from_hex(record.digest);
    if (!bytes || bytes->size() != 32) {
        return std::nullopt;
    }
    ports::Digest digest{};
    std::ranges::copy(*bytes, digest.begin());
    return digest;
}

}  // namespace

void LedgerCheck::find(const std::string& what) {
    if (findings_.size() < 1000) {
        findings_.push_back("line " + std::to_string(line_) + ": " + what);
    }
}

void LedgerCheck::add(std::string_view line) {
    ++line_;
    const auto value = json::parse(line);
    if (!value) {
        find("it is no JSON: " + value.error().message());
        return;
    }
    if (head_) {
        find("something follows the head");
    }
    if (value->find("base") != nullptr) {
        const auto base = json::decode<BaseLine>(*value);
        if (!base || begun_) {
            find("a base stands where none belongs");
            return;
        }
        last_ = base->base;
        from_the_start_ = last_ == LedgerMark{};
        begun_ = true;
        mark_seen_ = expected_.mark == last_;
        return;
    }
    if (value->find("head") != nullptr) {
        auto head = json::decode<HeadLine>(*value);
        if (!head) {
            find("the head cannot be read: " + head.error().field() + " " + head.error().message());
            return;
        }
        add_head(std::move(head->head));
        return;
    }
    const auto record = json::decode<LedgerRecord>(*value);
    if (!record) {
        find("it is no record: " + record.error().field() + " " + record.error().message());
        return;
    }
    add_record(*record);
}

void LedgerCheck::add_record(const LedgerRecord& record) {
    ++records_;
    if (!begun_ && !expected_.gaps) {
        find("the base is missing: what lies before the first record is not known");
    }
    const bool follows = record.seq == last_.seq + 1;
    if (!follows && !(expected_.gaps && record.seq > last_.seq)) {
        find(
            "record " + std::to_string(record.seq) + " stands where " + std::to_string(last_.seq + 1) +
            " belongs: something was cut, or the order is another"
        );
    } else if (follows && record.prev != last_.hash && (begun_ || records_ > 1)) {
        find("record " + std::to_string(record.seq) + " does not hold the hash of the one before it");
    }
    if (hash_of(signatures_, record) != record.hash) {
        find("record " + std::to_string(record.seq) + " was changed: its hash is another");
    }
    check_signature(record);
    check_capability(record);
    last_ = {record.seq, record.hash};
    begun_ = true;
    mark_seen_ = mark_seen_ || expected_.mark == last_;
}

void LedgerCheck::check_signature(const LedgerRecord& record) {
    const auto who = "record " + std::to_string(record.seq);
    if (record.auth == "session") {
        const auto login = sessions_.find(record.session);
        if (login == sessions_.end() ? from_the_start_ && !expected_.gaps : login->second != record.address) {
            find(who + " was asked for in a session that " + record.address + " did not open");
        }
        return;
    }
    const auto signature = signature_of(record.signature);
    auto digest = digest_of(signatures_, record);
    if (!signature || !digest) {
        find(who + " has no signature, or nothing that was signed");
        return;
    }
    ++signatures_checked_;
    auto signer = signatures_.recover(*digest, *signature);
    if (record.auth == "legacy" && (!signer || signer->text() != record.address)) {
        // Old clients signed the digest either as it is, or hashed once more.
        digest = signatures_.sha256({reinterpret_cast<const char*>(digest->data()), digest->size()});
        signer = signatures_.recover(*digest, *signature);
    }
    if (!signer || signer->text() != record.address) {
        find(who + " is not signed by " + record.address);
        return;
    }
    check_message(record);
    if (record.auth == "login" && !record.session.empty()) {
        sessions_[record.session] = record.address;
    }
}

// What was signed must be what is said to have been asked for.
void LedgerCheck::check_message(const LedgerRecord& record) {
    if (record.message.empty() || record.auth == "legacy") {
        return;
    }
    bool fits = false;
    if (record.auth == "login") {
        const auto message = read_sign_in(signatures_, record.message);
        fits = message && message->address.text() == record.address;
    } else {
        auto begins = record.method == "POST" || record.method == "GET" ? record.target
                                                                        : record.method + " " + record.target;
        fits = record.message.starts_with(begins.append(":"));
    }
    if (!fits) {
        find(
            "record " + std::to_string(record.seq) + " says that something else was asked for than was signed"
        );
    }
}

void LedgerCheck::check_capability(const LedgerRecord& record) {
    if (record.capability.empty()) {
        return;
    }
    const auto links = read_capability(signatures_, record.capability);
    const auto at = parse_rfc3339(record.at);
    const auto said = links && at ? verify_capability(signatures_, *links, at->ms / 1000)
                                  : Result<Capability>{fail(Code::malformed, "unreadable")};
    if (!said || said->holder.text() != record.address) {
        find(
            "record " + std::to_string(record.seq) + " rests on a capability that " + record.address +
            " did not hold"
        );
    }
}

void LedgerCheck::add_head(LedgerHead head) {
    const auto signature = signature_of(head.signature);
    const auto signer = signature
                            ? signatures_.recover(signatures_.personal_digest(head_text(head)), *signature)
                            : Result<domain::Address>{fail(Code::malformed, "none")};
    if (!signer || signer->text() != head.signer) {
        find("the head is not signed by " + head.signer);
    } else if (!expected_.signer.empty() && !equals_ignoring_case(expected_.signer, head.signer)) {
        find("the head is signed by " + head.signer + ", not by " + expected_.signer);
    }
    ++signatures_checked_;
    if (!expected_.gaps && (head.seq != last_.seq || head.hash != last_.hash)) {
        find(
            "the head is record " + std::to_string(head.seq) + ", but the last one here is " +
            std::to_string(last_.seq) + ": the end was cut off"
        );
    }
    head_ = std::move(head);
}

void LedgerCheck::finish() {
    if (!head_ && !expected_.gaps) {
        find("the head is missing: whether the end was cut off cannot be told");
    }
    if (expected_.mark && !mark_seen_ && !expected_.gaps) {
        find(
            "record " + std::to_string(expected_.mark->seq) + " with the hash " + expected_.mark->hash +
            " was seen earlier and is not in this ledger"
        );
    }
}

}  // namespace vmm::proofs
