#pragma once

#include "vmm/ports/network.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// The firewall as nftables' own text. Pure. Two tables with one name: `bridge` keeps guests from speaking as
// somebody else, `inet` says who reaches whom. A packet costs a handful of look-ups in hash tables, however
// many machines there are.
namespace vmm::network {

struct RuleSettings {
    std::string table;
    ports::TrafficRules traffic;
    std::uint16_t metadata_port = 0;  // on the loopback address; 0: nobody answers
};

// Both tables without machines, in place of whatever was there.
std::string empty_tables(const RuleSettings& settings, const std::vector<domain::Network>& networks);

// Numbers by which owners are told apart; they stay as long as the service runs.
class Owners {
public:
    std::uint32_t number(const std::string& owner);

private:
    std::map<std::string, std::uint32_t> numbers_;
};

// What one machine adds to the tables, and how that is taken away again.
struct MemberRules {
    MemberRules() = default;
    std::vector<std::pair<std::string, std::string>> chains;    // table, text
    std::vector<std::pair<std::string, std::string>> elements;  // map or set, element
    std::string add;                                            // by itself
    std::string remove;
};

// What several machines add, each table and each map named once: a tenth of the commands.
std::string added(const std::vector<const MemberRules*>& machines);

MemberRules member_rules(
    const RuleSettings& settings,
    const ports::Member& member,
    const std::map<std::string, domain::Network>& networks,
    std::uint32_t owner
);

}  // namespace vmm::network
