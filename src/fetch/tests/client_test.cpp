#include "vmm/fetch/client.h"

#include <boost/asio/ip/tcp.hpp>
#include <gtest/gtest.h>

#include "vmm_test/run.h"

namespace vmm::fetch {
namespace {

TEST(Origin, IsReadFromAUrl) {
    EXPECT_EQ(parse_origin("http://localhost:3003")->port, 3003);
    EXPECT_EQ(parse_origin("http://[::1]:80/")->host, "::1");
    EXPECT_FALSE(parse_origin("http://x")->secure);
    EXPECT_TRUE(parse_origin("https://x")->secure);
    EXPECT_EQ(parse_origin("https://x")->port, 443);
    for (const auto* bad : {"localhost:3003", "ftp://x", "http://", "http://x/path", "http://x:99999"}) {
        EXPECT_FALSE(parse_origin(bad)) << bad;
    }
}

TEST(Exchange, SaysThatNobodyListens) {
    asio::io_context loop;
    asio::ip::tcp::acceptor held{loop, {asio::ip::address_v4::loopback(), 0}};
    const auto port = held.local_endpoint().port();
    held.close();
    Origin origin{"127.0.0.1", port};
    Request request;
    const auto answer = test::run(exchange(origin, request, std::chrono::seconds{5}));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().slug(), "service-unreachable");
}

TEST(Exchange, GivesUpOnASilentServer) {
    asio::io_context loop;
    asio::ip::tcp::acceptor silent{loop, {asio::ip::address_v4::loopback(), 0}};
    Origin origin{"127.0.0.1", silent.local_endpoint().port()};
    Request request;
    const auto answer = test::run(exchange(origin, request, std::chrono::milliseconds{50}));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), Code::timed_out);
}

}  // namespace
}  // namespace vmm::fetch
