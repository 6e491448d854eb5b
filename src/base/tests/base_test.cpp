#include "vmm/base/error.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/base/time.h"

#include <gtest/gtest.h>

#include <set>

namespace vmm {
namespace {

TEST(Ids, SortByCreationAndNeverRepeat) {
    std::string last;
    std::set<std::string> seen;
    for (int i = 0; i < 5000; ++i) {
        const auto id = new_id("vm");
        ASSERT_LT(last, id);
        ASSERT_TRUE(is_id("vm", id));
        seen.insert(id);
        last = id;
    }
    EXPECT_EQ(seen.size(), 5000U);
}

TEST(Ids, RefuseOtherPrefixesDigitsAndLengths) {
    const auto id = new_id("vm");
    EXPECT_FALSE(is_id("op", id));
    EXPECT_FALSE(is_id("vm", id + "0"));
    EXPECT_FALSE(is_id("vm", "vm-../../../../etc/passwd00000"));
    EXPECT_FALSE(is_id("vm", "vm-zzzzzzzzzzzzzzzzzzzzzzzzzz"));
}

TEST(Ids, CarryAVersion7Uuid) {
    const auto uuid = uuid_of(new_id("vm"));
    ASSERT_EQ(uuid.size(), 36U);
    EXPECT_EQ(uuid[14], '7');
}

TEST(Hex, ReadsWhatItWritesWithOrWithoutPrefix) {
    const std::vector<std::uint8_t> bytes{0, 1, 0xab, 0xff};
    EXPECT_EQ(to_hex(bytes), "0001abff");
    EXPECT_EQ(from_hex("0x0001ABff"), bytes);
    EXPECT_FALSE(from_hex("0x001"));
    EXPECT_FALSE(from_hex("zz"));
}

TEST(Time, ReadsWhatItWrites) {
    const Timestamp time{1767225599123};
    EXPECT_EQ(rfc3339(time), "2025-12-31T23:59:59.123Z");
    EXPECT_EQ(parse_rfc3339("2025-12-31T23:59:59.123Z"), time);
    EXPECT_FALSE(parse_rfc3339("yesterday"));
}

TEST(Text, FindsTheNearestWordOnlyWhenItIsNear) {
    const std::vector<std::string> words{"api_port", "api_host", "log_level"};
    EXPECT_EQ(nearest("api_prot", words), "api_port");
    EXPECT_FALSE(nearest("completely_else", words));
}

TEST(Text, QuotesControlCharacters) {
    EXPECT_EQ(quote("a\nb"), "\"a\\x0ab\"");
}

TEST(Error, KeepsItsCodeWhenContextIsAdded) {
    const auto error = Error{Code::conflict, "is running"}.while_doing("starting web");
    EXPECT_EQ(error.message(), "starting web: is running");
    EXPECT_EQ(error.slug(), "state-conflict");
    EXPECT_EQ(code_named(name(Code::conflict)), Code::conflict);
}

}  // namespace
}  // namespace vmm
