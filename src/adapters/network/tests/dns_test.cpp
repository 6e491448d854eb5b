#include "dns.h"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>

#include "names.h"

namespace vmm::network {
namespace {

using namespace std::string_literals;

// A question for this name, asked for 10.1.2.LAST.
std::string question(const std::string& name, char type = 1, char last = 3) {
    return "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01"s + dns_name(name) + "\x00"s + type +
           "\x00\x01"s +
           "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x0c\x00\x08\x00\x08\x00\x01\x20\x00\x0a\x01\x02"s + last;
}

std::shared_ptr<const ports::Layout> layout() {
    auto out = std::make_shared<ports::Layout>();
    const auto add = [&out](const std::string& name, const std::string& owner, const std::string& address) {
        ports::Member member;
        member.vm = name;
        member.name = name;
        member.owner = owner;
        ports::Plugged plugged;
        plugged.interface.ip4 = domain::parse_ip4(address);
        member.interfaces.push_back(plugged);
        out->members.push_back(member);
    };
    add("Web.1", "alice", "10.1.2.3");
    add("db", "alice", "10.1.2.4");
    add("db", "bob", "10.1.2.5");
    return out;
}

TEST(Dns, ReadsWhoAsks) {
    const auto read = read_query(question("DB.vm.internal"));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->name, "db.vm.internal");
    EXPECT_EQ(read->client, domain::parse_ip4("10.1.2.3"));
}

TEST(Dns, TakesNothingThatIsCutOff) {
    const auto whole = question("db.vm.internal");
    for (std::size_t i = 0; i < whole.size(); ++i) {
        const auto read = read_query(std::string_view{whole}.substr(0, i));
        EXPECT_TRUE(!read || !read->client) << i;
    }
}

TEST(Names, AnswerForTheAskersOwnMachines) {
    asio::io_context loop;
    const auto names = std::make_shared<Names>(loop.get_executor());
    names->set(layout());
    EXPECT_TRUE(names->answer(question("db.vm.internal")).ends_with("\x0a\x01\x02\x04"s));
    EXPECT_TRUE(names->answer(question("db.vm.internal", 1, 5)).ends_with("\x0a\x01\x02\x05"s))
        << "bob's own";
    EXPECT_TRUE(names->answer(question("web-1.vm.internal")).ends_with("\x0a\x01\x02\x03"s));
    EXPECT_EQ(names->answer(question("web-1.vm.internal", 1, 5))[3] & 15, 3) << "NXDOMAIN for bob";
    EXPECT_EQ(names->answer(question("web-1.vm.internal", 1, 9))[3] & 15, 3) << "and for nobody's address";
}

TEST(Names, AnswerForAddressesToo) {
    asio::io_context loop;
    const auto names = std::make_shared<Names>(loop.get_executor());
    names->set(layout());
    EXPECT_TRUE(names->answer(question("4.2.1.10.in-addr.arpa", 12)).ends_with(dns_name("db.vm.internal")));
    EXPECT_EQ(names->answer(question("5.2.1.10.in-addr.arpa", 12))[3] & 15, 3) << "bob's";
}

}  // namespace
}  // namespace vmm::network
