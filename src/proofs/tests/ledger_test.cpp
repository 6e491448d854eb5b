#include "vmm/proofs/ledger.h"

#include "vmm/base/text.h"
#include "vmm/base/time.h"
#include "vmm/crypto/signatures.h"

#include <gtest/gtest.h>

#include <functional>

namespace vmm::proofs {
namespace {

std::string text_of(const ports::Signature& signature) {
    return to_hex(signature.rs) + (signature.recovery_id == 0 ? "1b" : "1c");
}

class LedgerTest : public ::testing::Test {
protected:
    LedgerTest() {
        for (int i = 1; i <= 5; ++i) {
            LedgerRecord record;
            record.seq = i;
            record.at = rfc3339({1'800'000'000'000 + i});
            record.address = ada.address().text();
            record.method = "POST";
            record.target = "/vms/vm-" + std::to_string(i) + "/start";
            record.outcome = "allowed";
            record.status = 200;
            record.auth = "signature";
            record.message = record.target + ":1800000000:";
            record.signature = text_of(ada.sign(record.message));
            seal(record);
        }
    }

    void seal(LedgerRecord record) {
        record.prev = records.empty() ? std::string{no_hash} : records.back().hash;
        record.hash = hash_of(*signatures, record);
        records.push_back(std::move(record));
    }

    // What an honest service would export of these.
    std::vector<std::string> lines(LedgerMark base = {}) {
        std::vector<std::string> out{write_base(base)};
        for (const auto& record : records) {
            out.push_back(write(record));
        }
        LedgerHead head{records.back().seq, records.back().hash, "2027-01-15T08:00:00.000Z", "", ""};
        head.signer = service.address().text();
        head.signature = text_of(service.sign(head_text(head)));
        out.push_back(write_head(head));
        return out;
    }

    std::vector<std::string>
    checked(const std::vector<std::string>& all, LedgerCheck::Expected expected = {}) {
        LedgerCheck check{*signatures, std::move(expected)};
        for (const auto& line : all) {
            check.add(line);
        }
        check.finish();
        return check.findings();
    }

    // Changes a record as somebody would who can write to the store and knows how hashes are made.
    void forge(std::size_t which, const std::function<void(LedgerRecord&)>& change) {
        change(records[which]);
        for (std::size_t i = which; i < records.size(); ++i) {
            records[i].prev = i == 0 ? std::string{no_hash} : records[i - 1].hash;
            records[i].hash = hash_of(*signatures, records[i]);
        }
    }

    std::unique_ptr<ports::Signatures> signatures = crypto::create_signatures();
    crypto::Signer ada = crypto::Signer::generate();
    crypto::Signer eve = crypto::Signer::generate();
    crypto::Signer service = crypto::Signer::generate();
    std::vector<LedgerRecord> records;
};

TEST_F(LedgerTest, ThatIsWholeIsFoundWhole) {
    EXPECT_TRUE(checked(lines()).empty());
    EXPECT_TRUE(
        checked(lines(), {std::string{service.address().text()}, LedgerMark{3, records[2].hash}, false})
            .empty()
    );
}

TEST_F(LedgerTest, EveryChangedByteIsFound) {
    const auto good = lines();
    for (std::size_t which = 1; which + 1 < good.size(); ++which) {
        for (std::size_t at = 0; at < good[which].size(); ++at) {
            auto changed = good;
            changed[which][at] = static_cast<char>(changed[which][at] ^ 1);
            ASSERT_FALSE(checked(changed).empty()) << which << " " << at;
        }
    }
}

TEST_F(LedgerTest, ARecordTakenOutIsFound) {
    for (std::size_t which = 1; which < 6; ++which) {
        auto cut = lines();
        cut.erase(cut.begin() + static_cast<std::ptrdiff_t>(which));
        EXPECT_FALSE(checked(cut).empty()) << which;
    }
    auto without_base = lines();
    without_base.erase(without_base.begin());
    EXPECT_FALSE(checked(without_base).empty());
    auto without_end = lines();
    without_end.pop_back();
    EXPECT_FALSE(checked(without_end).empty());
}

TEST_F(LedgerTest, AnotherOrderIsFound) {
    auto mixed = lines();
    std::swap(mixed[2], mixed[3]);
    EXPECT_FALSE(checked(mixed).empty());
    std::swap(records[1], records[2]);
    forge(0, [](LedgerRecord&) {});
    EXPECT_FALSE(checked(lines()).empty()) << "with hashes made anew";
}

TEST_F(LedgerTest, AForgeryWithNewHashesIsFoundByItsSignature) {
    forge(2, [](LedgerRecord& record) { record.message = "/vms/vm-9/delete:1800000000:"; });
    EXPECT_FALSE(checked(lines()).empty());
}

TEST_F(LedgerTest, AnotherNameOverTheSignatureIsFound) {
    forge(2, [this](LedgerRecord& record) { record.address = eve.address().text(); });
    EXPECT_FALSE(checked(lines()).empty());
}

TEST_F(LedgerTest, AnotherActionOverTheSignedTextIsFound) {
    forge(2, [](LedgerRecord& record) { record.target = "/vms/vm-9/stop"; });
    EXPECT_FALSE(checked(lines()).empty());
}

TEST_F(LedgerTest, AnOlderHeadThatWasSeenMustBeInIt) {
    const LedgerMark seen{3, records[2].hash};
    forge(2, [](LedgerRecord& record) { record.outcome = "denied"; });
    EXPECT_TRUE(checked(lines()).empty()) << "who holds the service's key can do this";
    EXPECT_FALSE(checked(lines(), {"", seen, false}).empty()) << "but not unseen";
}

TEST_F(LedgerTest, AHeadByAnotherKeyIsFound) {
    EXPECT_FALSE(checked(lines(), {std::string{eve.address().text()}, {}, false}).empty());
}

TEST_F(LedgerTest, ARotatedOneGoesOnFromItsBase) {
    const LedgerMark base{2, records[1].hash};
    records.erase(records.begin(), records.begin() + 2);
    EXPECT_TRUE(checked(lines(base)).empty());
    EXPECT_FALSE(checked(lines()).empty());
    EXPECT_FALSE(checked(lines({2, std::string{no_hash}})).empty());
}

TEST_F(LedgerTest, OnesOwnRecordsMayHaveGaps) {
    records.erase(records.begin() + 1);
    auto own = lines();
    own.erase(own.begin());
    own.pop_back();
    EXPECT_TRUE(checked(own, {"", {}, true}).empty());
    std::swap(own[1], own[2]);
    EXPECT_FALSE(checked(own, {"", {}, true}).empty());
}

TEST_F(LedgerTest, ASessionsRecordsNeedItsLogin) {
    LedgerRecord record = records.back();
    record.seq = 6;
    record.auth = "session";
    record.session = "sess-1";
    record.message.clear();
    record.signature.clear();
    seal(record);
    EXPECT_FALSE(checked(lines()).empty());
}

}  // namespace
}  // namespace vmm::proofs
