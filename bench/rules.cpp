#include "rules.h"

#include "vmm/base/text.h"

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "nft.h"

// The firewall of so many machines: bench_rules COUNT prints it as nftables reads it; bench_rules COUNT apply
// sets it through the library as the service does, ten times, and prints the milliseconds of each. The first
// two machines are those that the caller brings to life: taps v000000000000 and v000000000010.
namespace {

using namespace vmm;

domain::Network network() {
    domain::Network out;
    out.id = "net-bench";
    out.name = "bench0";
    out.range = *domain::parse_range4("ipv4", "10.66.0.0/16");
    out.prefix6 = domain::unique_local_prefix(out.id);
    return out;
}

ports::Member member(std::size_t number) {
    ports::Member out;
    auto digits = std::to_string(number);
    digits.insert(0, 11 - digits.size(), '0');
    out.vm = "vm-00000000000000" + digits + "0";
    out.name = "m" + digits;
    out.owner = number < 2 ? "one" : "owner-" + std::to_string(number / 3);
    ports::Plugged plugged;
    plugged.interface.id = "nic0";
    plugged.interface.network = "bench0";
    char mac[18];
    std::snprintf(
        mac,
        sizeof mac,
        "06:00:00:00:%02x:%02x",
        static_cast<unsigned>(number >> 8 & 255),
        static_cast<unsigned>(number & 255)
    );
    plugged.interface.mac = mac;
    plugged.interface.ip4 = domain::Ip4{10U << 24 | 66U << 16 | (static_cast<std::uint32_t>(number) + 2)};
    plugged.interface.ip6 = domain::address6(*::network().prefix6, plugged.interface.mac);
    plugged.tap = domain::tap_name(out.vm, "nic0");
    out.interfaces.push_back(plugged);
    return out;
}

std::string rules_of(std::size_t count) {
    const network::RuleSettings settings{"vmm_bench", {}};
    const auto in = network();
    std::string out = network::empty_tables(settings, {in});
    network::Owners owners;
    std::vector<network::MemberRules> machines;
    for (std::size_t i = 0; i < count; ++i) {
        const auto one = member(i);
        machines.push_back(network::member_rules(settings, one, {{in.name, in}}, owners.number(one.owner)));
    }
    std::vector<const network::MemberRules*> all;
    for (const auto& machine : machines) {
        all.push_back(&machine);
    }
    out += network::added(all);
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    const auto count = argc > 1 ? parse_number<std::size_t>(argv[1]) : std::nullopt;
    if (!count || *count > 60000) {
        std::fputs("bench_rules COUNT [apply]\n", stderr);
        return 2;
    }
    const auto rules = rules_of(*count);
    if (argc == 2) {
        std::fputs(rules.c_str(), stdout);
        return 0;
    }
    network::Nft nft;
    for (int round = 0; round < 10; ++round) {
        const auto began = std::chrono::steady_clock::now();
        if (const auto set = nft.run(rules); !set) {
            std::fprintf(stderr, "%s\n", set.error().message().c_str());
            return 1;
        }
        const auto took = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began);
        std::printf("%.2f\n", took.count());
    }
    return 0;
}
