#include "rules.h"

#include <gmock/gmock.h>

#include "dnsmasq.h"
#include "watcher.h"

namespace vmm::network {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

domain::Network network(domain::NetworkKind kind = domain::NetworkKind::bridge) {
    domain::Network out;
    out.id = "net-1";
    out.name = "lab";
    out.kind = kind;
    out.range = *domain::parse_range4("", "10.1.2.0/24");
    out.prefix6 = *domain::parse_prefix6("", "fd00:1:2:3::/64");
    return out;
}

ports::Member member() {
    ports::Member out;
    out.vm = "vm-01m886yn6ce00ts9v99ak0crnm";
    out.name = "web";
    out.owner = "0xabc";
    ports::Plugged plugged;
    plugged.interface.id = "nic0";
    plugged.interface.network = "lab";
    plugged.interface.mac = "06:00:00:00:00:01";
    plugged.interface.ip4 = domain::parse_ip4("10.1.2.3");
    plugged.interface.ip6 = domain::address6(*network().prefix6, plugged.interface.mac);
    plugged.tap = domain::tap_name(out.vm, "nic0");
    out.interfaces.push_back(plugged);
    return out;
}

MemberRules rules_of(const ports::Member& of, const domain::Network& in) {
    return member_rules({"vmm_x", {}}, of, {{in.name, in}}, 7);
}

TEST(Rules, HoldATapToItsMacAndAddresses) {
    const auto rules = rules_of(member(), network());
    EXPECT_THAT(rules.add, HasSubstr("ether saddr != 06:00:00:00:00:01 counter name spoofed drop"));
    EXPECT_THAT(rules.add, HasSubstr("ip saddr 10.1.2.3 accept"));
    EXPECT_THAT(rules.add, HasSubstr("arp saddr ip 10.1.2.3 accept"));
    EXPECT_THAT(rules.add, HasSubstr("udp dport 67 @th,288,48 != 0x060000000001 counter name spoofed drop"));
    EXPECT_THAT(rules.add, HasSubstr("vs9v99ak0crnm0"));
}

std::size_t count(const std::string& text, std::string_view word) {
    std::size_t found = 0;
    for (auto at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
        ++found;
    }
    return found;
}

TEST(Rules, TakeAwayExactlyWhatTheyHaveAdded) {
    auto wanted = member();
    wanted.firewall.inbound_default = domain::FirewallRule::Action::deny;
    const auto rules = rules_of(wanted, network());
    EXPECT_EQ(rules.elements.size(), count(rules.remove, "delete element"));
    EXPECT_EQ(count(rules.add, "\tchain "), count(rules.remove, "delete chain"));
    EXPECT_LT(rules.remove.rfind("delete element"), rules.remove.find("delete chain"))
        << "what refers goes first";
}

TEST(Rules, KeepOwnersApartUnlessToldOtherwise) {
    RuleSettings settings{"vmm_x", {}};
    EXPECT_THAT(empty_tables(settings, {network()}), HasSubstr("ip daddr . meta mark != @member4 drop"));
    settings.traffic.isolate_owners = false;
    EXPECT_THAT(empty_tables(settings, {network()}), Not(HasSubstr("@member4 drop")));
}

TEST(Rules, MasqueradeBridgesAndNotIsolatedNetworks) {
    const RuleSettings settings{"vmm_x", {}};
    EXPECT_THAT(
        empty_tables(settings, {network()}), HasSubstr("ip saddr 10.1.2.0/24 oifname != @routed masquerade")
    );
    const auto closed = network(domain::NetworkKind::isolated);
    EXPECT_THAT(empty_tables(settings, {closed}), Not(HasSubstr("10.1.2.0/24")));
}

TEST(Rules, PublishPortsInMaps) {
    auto wanted = member();
    wanted.ports.push_back({"tcp", "0.0.0.0", 8080, 80});
    wanted.ports.push_back({"udp", "192.0.2.1", 53, 53});
    const auto rules = rules_of(wanted, network()).add;
    EXPECT_THAT(rules, HasSubstr("add element inet vmm_x tcp_any { 8080 : 10.1.2.3 . 80 }"));
    EXPECT_THAT(rules, HasSubstr("add element inet vmm_x udp_at { 192.0.2.1 . 53 : 10.1.2.3 . 53 }"));
}

TEST(Rules, OfAMachineReturnToTheHostsOwn) {
    auto wanted = member();
    domain::FirewallRule rule;
    rule.protocol = domain::FirewallRule::Protocol::tcp;
    rule.first_port = 80;
    rule.last_port = 90;
    rule.peer = *domain::parse_range4("", "192.0.2.0/24");
    wanted.firewall.inbound.push_back(rule);
    wanted.firewall.inbound_default = domain::FirewallRule::Action::deny;
    EXPECT_THAT(rules_of(wanted, network()).add, HasSubstr("ip saddr 192.0.2.0/24 tcp dport 80-90 return"));
}

TEST(Dnsmasq, GivesStaticLeasesAlone) {
    const auto argv = network_arguments(network(), "/run/x/lab", 5300, 5301);
    EXPECT_THAT(argv, Contains("--dhcp-range=10.1.2.0,static,255.255.255.0"));
    EXPECT_THAT(argv, Contains("--server=/vm.internal/127.0.0.1#5300"));
    EXPECT_THAT(argv, Contains("--server=127.0.0.1#5301"));
    const auto closed = network_arguments(network(domain::NetworkKind::isolated), "/run/x/lab", 5300, 0);
    EXPECT_THAT(closed, Not(Contains(HasSubstr("5301"))));
    EXPECT_EQ(hosts_file({{"06:00:00:00:00:01", "10.1.2.3"}}), "06:00:00:00:00:01,10.1.2.3,12h\n");
}

TEST(Dnsmasq, ReadsItsLeases) {
    const auto leases =
        read_leases("1795612345 06:00:00:00:00:01 10.1.2.3 * 01:06:00\nduid 00:01\nnonsense\n");
    ASSERT_EQ(leases.size(), 1U);
    EXPECT_EQ(leases[0].address, "10.1.2.3");
    EXPECT_EQ(leases[0].expires_at, 1795612345);
}

TEST(Watcher, ReadsNoFurtherThanItWasSent) {
    Disturbance state;
    for (const std::string& junk :
         {std::string{}, std::string(3, '\xff'), std::string(64, '\xff'), std::string(40, '\0')}) {
        read_rule_messages(junk, "vmm_x", "own", state);
        EXPECT_TRUE(read_gone_links(junk).empty());
    }
    EXPECT_FALSE(state.disturbed);
}

}  // namespace
}  // namespace vmm::network
