#include "vmm/wire/signing.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/crypto/signatures.h"
#include "vmm/json/value.h"
#include "vmm/json/write.h"

#include <gtest/gtest.h>

namespace vmm::wire {
namespace {

constexpr std::int64_t s = 1'000'000'000;

TEST(SigningText, CarriesTheMethodOnlyWhereTheRuleSaysSo) {
    EXPECT_EQ(signing_text("POST", "/vm/create", "5", "{}"), "/vm/create:5:{}");
    EXPECT_EQ(signing_text("GET", "/vms?limit=1", "5.25", ""), "/vms?limit=1:5.25:");
    EXPECT_EQ(signing_text("DELETE", "/vms/x", "5", ""), "DELETE /vms/x:5:");
    EXPECT_EQ(signing_text("PATCH", "/vms/x", "5", "{}"), "PATCH /vms/x:5:{}");
}

TEST(SigningText, ReproducesEveryPublishedVector) {
    const auto file = read_file(VMM_VECTORS);
    ASSERT_TRUE(file) << file.error().message();
    const auto document = json::parse(*file);
    ASSERT_TRUE(document);
    const auto signatures = crypto::create_signatures();
    int seen = 0;
    for (const auto& vector : *document->find("vectors")->as<json::List>()) {
        const auto text = [&vector](std::string_view key) { return std::string{vector.text_or(key, "")}; };
        SCOPED_TRACE(text("name"));
        const auto body = text("body");
        const auto data = body.empty() ? Result<std::string>{""} : canonical_body(body);
        ASSERT_TRUE(data);
        const auto timestamp = vector.find("timestamp")->as<json::Number>()->text;
        const auto message = signing_text(text("method"), text("target"), timestamp, *data);
        EXPECT_EQ(message, text("message"));
        EXPECT_EQ("0x" + to_hex(signatures->personal_digest(message)), text("digest"));
        const auto signature = parse_signature(text("signature"), text("recovery_id"));
        ASSERT_TRUE(signature) << signature.error().message();
        const auto address = signatures->recover(
            signatures->personal_digest(message), {signature->rs, signature->recovery_id}
        );
        ASSERT_TRUE(address);
        EXPECT_EQ(address->text(), text("address"));
        const auto signer = crypto::Signer::from_bytes(*from_hex(text("private_key")));
        EXPECT_EQ(signer->sign(message).rs, signature->rs);
        ++seen;
    }
    EXPECT_EQ(seen, 8);
}

TEST(Signature, AcceptsEverySpellingAndRefusesTheRest) {
    const std::string rs(128, '1');
    for (const auto* id : {"0", "0x0", "00", "0x00", "27"}) {
        EXPECT_EQ(parse_signature(rs, id)->recovery_id, 0) << id;
        EXPECT_EQ(parse_signature("0x" + rs + "1b", id)->recovery_id, 0) << id;
        EXPECT_FALSE(parse_signature(rs + "1c", id)) << id;
        EXPECT_FALSE(parse_signature(rs + "02", id)) << id;
    }
    for (const auto* id : {"1", "0x1", "01", "28"}) {
        EXPECT_EQ(parse_signature(rs + "01", id)->recovery_id, 1) << id;
    }
    for (const auto* id : {"", "2", "-1", "0x1c", "001", "x"}) {
        EXPECT_EQ(parse_signature(rs, id).error().field(), "X-Recovery-ID") << id;
    }
    for (const auto& signature : {std::string{}, rs.substr(2), rs + "1b00", std::string(128, 'g')}) {
        EXPECT_EQ(parse_signature(signature, "0").error().field(), "X-Signature") << signature;
    }
}

TEST(Timestamp, ReadsSecondsWithAFraction) {
    EXPECT_EQ(parse_timestamp("1700000000"), 1700000000 * s);
    EXPECT_EQ(parse_timestamp("1700000000.5"), 1700000000 * s + s / 2);
    EXPECT_EQ(parse_timestamp("0.000000001"), 1);
    for (const auto* bad :
         {"", ".", "1.", ".5", "-1", "+1", " 1", "1e9", "0x10", "1.0000000001", "99999999999", "1,5"}) {
        EXPECT_FALSE(parse_timestamp(bad)) << bad;
    }
}

TEST(Window, IsClosedAtBothEdges) {
    const auto now = 1700000000 * s;
    EXPECT_TRUE(check_window(now - 300 * s, now, 300));
    EXPECT_TRUE(check_window(now + 300 * s, now, 300));
    EXPECT_FALSE(check_window(now - 300 * s - 1, now, 300));
    EXPECT_FALSE(check_window(now + 300 * s + 1, now, 300));
}

}  // namespace
}  // namespace vmm::wire
