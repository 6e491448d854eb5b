#include "vmm/http/limits.h"

#include "vmm/http/network.h"

#include <gtest/gtest.h>

namespace vmm::http {
namespace {

using namespace std::chrono_literals;

const Buckets::Time start{1h};

TEST(Buckets, GiveABurstAndThenTheRate) {
    Buckets buckets{{10, 3}};
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(buckets.take("a", start).allowed);
    }
    const auto refused = buckets.take("a", start);
    EXPECT_FALSE(refused.allowed);
    EXPECT_EQ(refused.retry_after_s, 1);
    EXPECT_TRUE(buckets.take("b", start).allowed) << "another key";
    EXPECT_TRUE(buckets.take("a", start + 100ms).allowed);
    EXPECT_FALSE(buckets.take("a", start + 100ms).allowed);
    EXPECT_EQ(buckets.look("a", start + 10s).remaining, 3) << "never more than the burst";
}

TEST(Buckets, WithoutARateLimitNothing) {
    Buckets buckets;
    for (int i = 0; i < 1000; ++i) {
        EXPECT_TRUE(buckets.take("a", start).allowed);
    }
    EXPECT_FALSE(buckets.limits());
}

TEST(Buckets, ChargeBelowNothingButNotForLong) {
    Buckets buckets{{1, 2}};
    for (int i = 0; i < 1000; ++i) {
        buckets.charge("a", start);
    }
    EXPECT_FALSE(buckets.look("a", start + 2s).allowed);
    EXPECT_TRUE(buckets.look("a", start + 3s).allowed);
}

TEST(Buckets, ForgetTheKeyThatWasUsedLongestAgo) {
    Buckets buckets{{1, 1}, 2};
    EXPECT_TRUE(buckets.take("a", start).allowed);
    EXPECT_TRUE(buckets.take("b", start).allowed);
    EXPECT_FALSE(buckets.take("a", start).allowed);
    EXPECT_TRUE(buckets.take("c", start).allowed);
    EXPECT_FALSE(buckets.take("a", start).allowed) << "used since";
    EXPECT_TRUE(buckets.take("b", start).allowed) << "forgotten";
}

TEST(Sources, AreAddressesOrIpv6Networks) {
    EXPECT_EQ(source_of("192.0.2.1"), "192.0.2.1");
    EXPECT_EQ(source_of("2001:db8:1:2::1"), source_of("2001:db8:1:2:ffff::9"));
    EXPECT_NE(source_of("2001:db8:1:2::1"), source_of("2001:db8:1:3::1"));
    EXPECT_NE(source_of("::ffff:192.0.2.1"), source_of("::ffff:192.0.2.2"));
}

TEST(Networks, ContainTheirAddresses) {
    const auto contains = [](const char* network, const char* address) {
        return Network::parse(network)->contains(boost::asio::ip::make_address(address));
    };
    EXPECT_TRUE(contains("10.0.0.0/8", "10.1.2.3"));
    EXPECT_FALSE(contains("10.0.0.0/8", "11.1.2.3"));
    EXPECT_TRUE(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
    EXPECT_TRUE(contains("192.0.2.7", "192.0.2.7"));
    EXPECT_FALSE(contains("192.0.2.7", "192.0.2.8"));
    EXPECT_TRUE(contains("2001:db8::/32", "2001:db8:9::1"));
    EXPECT_FALSE(contains("::/64", "192.0.2.1"));
    for (const auto* bad : {"", "10.0.0.0/33", "10.0.0/8", "x", "::1/129", "10.0.0.0/"}) {
        EXPECT_FALSE(Network::parse(bad)) << bad;
    }
}

}  // namespace
}  // namespace vmm::http
