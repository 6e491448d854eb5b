#include "vmm/domain/network.h"

#include <gtest/gtest.h>

namespace vmm::domain {
namespace {

Network network(const std::string& range) {
    Network out;
    out.name = "lab";
    out.range = *parse_range4("ipv4", range);
    out.pool_first = {out.range.first.value + 2};
    out.pool_last = {out.range.first.value + out.range.size() - 2};
    return out;
}

TEST(Range4, IsReadStrictly) {
    EXPECT_EQ(text(*parse_range4("x", "10.1.2.0/24")), "10.1.2.0/24");
    for (const auto* wrong :
         {"", "10.1.2", "10.1.2.0/33", "10.1.2.0/x", "10.1.2.1/24", "010.1.2.0/24", "10.1.2.256/32"}) {
        const auto read = parse_range4("x", wrong);
        ASSERT_FALSE(read) << wrong;
        EXPECT_EQ(read.error().field(), "x");
    }
    EXPECT_TRUE(parse_range4("x", "10.1.0.0/16")->overlaps(*parse_range4("x", "10.1.2.0/24")));
    EXPECT_FALSE(parse_range4("x", "10.1.0.0/24")->overlaps(*parse_range4("x", "10.1.1.0/24")));
}

TEST(Ip6, IsWrittenAsItIsRead) {
    for (const auto* address : {"fd00:1:2:3::", "::", "::1", "fe80::1", "2001:db8:0:1:1:1:1:1", "1::8"}) {
        EXPECT_EQ(text(*parse_ip6(address)), address);
    }
    for (const auto* wrong : {"", ":", ":::", "1::2::3", "12345::", "1:2:3", "g::", "1:2:3:4:5:6:7:8:9"}) {
        EXPECT_FALSE(parse_ip6(wrong)) << wrong;
    }
    EXPECT_FALSE(parse_prefix6("x", "fe80::/64"));
    EXPECT_FALSE(parse_prefix6("x", "fd00::/48"));
    EXPECT_FALSE(parse_prefix6("x", "fd00::1/64"));
}

TEST(Addresses, FollowFromIds) {
    const auto mac = derive_mac("vm-1", "nic0");
    EXPECT_EQ(mac, derive_mac("vm-1", "nic0"));
    EXPECT_NE(mac, derive_mac("vm-2", "nic0"));
    EXPECT_TRUE(parse_mac(mac));
    EXPECT_EQ(text(address6(*parse_prefix6("x", "fd00::/64"), "06:00:00:00:00:01")), "fd00::400:ff:fe00:1");
    EXPECT_EQ(tap_name("vm-01m886yn6ce00ts9v99ak0crnm", "nic3"), "vs9v99ak0crnm3");
}

TEST(PickAddress, GivesEachItsOwnUntilThereIsNone) {
    const auto lab = network("10.1.2.0/28");
    std::set<Ip4> taken;
    for (int i = 0; i < 13; ++i) {
        const auto address = pick_address(lab, "vm-" + std::to_string(i), taken);
        ASSERT_TRUE(address);
        EXPECT_TRUE(lab.range.contains(*address) && *address > lab.range.gateway());
        EXPECT_TRUE(taken.insert(*address).second);
    }
    const auto none = pick_address(lab, "vm-x", taken);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().slug(), "pool-exhausted");
}

TEST(PickAddress, IsTheSameEachTime) {
    const auto lab = network("10.1.2.0/24");
    EXPECT_EQ(pick_address(lab, "vm-1", {}), pick_address(lab, "vm-1", {}));
}

TEST(Ports, AreOneOrARange) {
    EXPECT_EQ(parse_ports("x", "80")->second, 80);
    EXPECT_EQ(parse_ports("x", "80-90")->second, 90);
    for (const auto* wrong : {"", "0", "90-80", "80-", "a", "65536"}) {
        EXPECT_FALSE(parse_ports("x", wrong)) << wrong;
    }
}

}  // namespace
}  // namespace vmm::domain
