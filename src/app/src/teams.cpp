#include "vmm/app/teams.h"

#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/records/records.h"

#include <algorithm>
#include <mutex>

#include "keys.h"
#include "recall.h"

namespace vmm::app {
namespace {

using domain::Role;
using domain::TeamAction;

constexpr std::size_t page_size = 1000;

std::unexpected<Error> unknown(const std::string& team) {
    return fail(Code::not_found, "there is no team " + quote(team) + ", or it is not visible to you");
}

Error last_owner() {
    return Error{Code::conflict, "a team needs an Owner, and this is its last one"}
        .with_slug("last-owner")
        .with_hint("make another member an Owner first, or delete the team");
}

}  // namespace

Task<void> Teams::load() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::teams}, after, page_size));
        const std::unique_lock lock{mutex_};
        for (const auto& record : records) {
            CO_TRY(auto team, records::read_team(record.value));
            const auto id = team.id;
            teams_[id].team = std::move(team);
        }
        if (records.size() < page_size) {
            break;
        }
        after = records.back().key;
    }
    after.clear();
    while (true) {
        CO_TRY(const auto records, co_await store_.list(std::string{keys::members}, after, page_size));
        const std::unique_lock lock{mutex_};
        for (const auto& record : records) {
            CO_TRY(const auto member, records::read_member(record.value));
            if (const auto place = teams_.find(member.team); place != teams_.end()) {
                place->second.members.insert_or_assign(member.address, member);
                by_member_[member.address].insert(member.team);
            }
        }
        if (records.size() < page_size) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

Role Teams::role_in(const std::string& team, const domain::Address& address) const {
    if (team.empty()) {
        return Role::none;
    }
    const std::shared_lock lock{mutex_};
    const auto place = teams_.find(team);
    if (place == teams_.end()) {
        return Role::none;
    }
    const auto member = place->second.members.find(address);
    return member == place->second.members.end() ? Role::none : member->second.role;
}

std::optional<domain::Team> Teams::find(const std::string& team) const {
    const std::shared_lock lock{mutex_};
    const auto place = teams_.find(team);
    return place == teams_.end() ? std::nullopt : std::optional{place->second.team};
}

std::set<std::string> Teams::of(const domain::Address& address) const {
    const std::shared_lock lock{mutex_};
    const auto place = by_member_.find(address);
    return place == by_member_.end() ? std::set<std::string>{} : place->second;
}

std::size_t Teams::members(const std::string& team) const {
    const std::shared_lock lock{mutex_};
    const auto place = teams_.find(team);
    return place == teams_.end() ? 0 : place->second.members.size();
}

std::size_t Teams::charged_to(const domain::Address& address) const {
    const std::shared_lock lock{mutex_};
    return static_cast<std::size_t>(std::ranges::count_if(teams_, [&address](const auto& each) {
        return each.second.team.charged == address;
    }));
}

Result<domain::Team> Teams::check(const domain::Caller& caller, TeamAction action, const std::string& team)
    const {
    auto found = find(team);
    const auto role = caller.administrator ? Role::owner : role_in(team, caller.address);
    if (!found || role == Role::none) {
        return unknown(team);
    }
    if (role < role_for(action)) {
        return fail(
            Code::forbidden,
            "this needs the role " + std::string{name(role_for(action))} + " in the team; you have " +
                std::string{name(role)}
        );
    }
    return *std::move(found);
}

std::vector<domain::Member>
Teams::page(const std::string& team, const std::optional<domain::Address>& after, std::size_t limit) const {
    std::vector<domain::Member> out;
    const std::shared_lock lock{mutex_};
    const auto place = teams_.find(team);
    if (place == teams_.end()) {
        return out;
    }
    const auto& members = place->second.members;
    for (auto at = after ? members.upper_bound(*after) : members.begin();
         at != members.end() && out.size() < limit;
         ++at) {
        out.push_back(at->second);
    }
    return out;
}

const Teams::Entry* Teams::entry(const std::string& team) const {
    const auto place = teams_.find(team);
    return place == teams_.end() ? nullptr : &place->second;
}

void Teams::forget(const domain::Address& address, const std::string& team) {
    const auto place = by_member_.find(address);
    if (place != by_member_.end() && place->second.erase(team) > 0 && place->second.empty()) {
        by_member_.erase(place);
    }
}

Task<domain::Team> Teams::create(domain::Caller caller, std::string name, Ticket ticket) {
    const auto turn = co_await changing_.take();
    CO_CHECK(domain::check_team_name(name));
    if (charged_to(caller.address) >= domain::most_teams) {
        co_return fail(Error{
            Code::conflict,
            "your account is charged for " + std::to_string(domain::most_teams) + " teams, which is the most"
        }
                           .with_slug("too-many-teams"));
    }
    domain::Team team;
    team.id = new_id("team");
    team.name = std::move(name);
    team.charged = caller.address;
    team.created_at = team.updated_at = now();
    team.revision = 1;
    const domain::Member founder{team.id, caller.address, Role::owner, team.created_at};
    ports::Transaction transaction;
    transaction.puts.push_back({keys::team(team.id), records::write(team), {}});
    transaction.puts.push_back({keys::member(team.id, caller.address), records::write(founder), {}});
    ticket.add_to(transaction, "", team.id);
    auto stored = co_await store_.commit(std::move(transaction));
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    const std::unique_lock lock{mutex_};
    auto& place = teams_[team.id];
    place.team = team;
    place.members.emplace(caller.address, founder);
    by_member_[caller.address].insert(team.id);
    co_return team;
}

Task<domain::Team> Teams::rename(
    domain::Caller caller,
    std::string team,
    std::string name,
    std::optional<std::int64_t> expected_revision,
    Ticket ticket
) {
    const auto turn = co_await changing_.take();
    CO_TRY(auto changed, check(caller, TeamAction::manage, team));
    CO_CHECK(domain::check_team_name(name));
    if (expected_revision && *expected_revision != changed.revision) {
        co_return fail(
            Code::precondition_failed,
            "the team has changed: its revision is " + std::to_string(changed.revision)
        );
    }
    changed.name = std::move(name);
    changed.updated_at = now();
    ++changed.revision;
    ports::Transaction transaction;
    transaction.puts.push_back({keys::team(team), records::write(changed), {}});
    ticket.add_to(transaction, "", team);
    auto stored = co_await store_.commit(std::move(transaction));
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    const std::unique_lock lock{mutex_};
    if (const auto place = teams_.find(team); place != teams_.end()) {
        place->second.team = changed;
    }
    co_return changed;
}

Task<void> Teams::remove(domain::Caller caller, std::string team, Ticket ticket) {
    const auto turn = co_await changing_.take();
    CO_CHECK(check(caller, TeamAction::manage, team));
    if (owns && owns(team)) {
        co_return fail(Error{Code::conflict, "the team owns machines or volumes"}
                           .with_slug("team-owns-machines")
                           .with_hint("delete them, or transfer them to somebody else, first"));
    }
    ports::Transaction transaction;
    transaction.removes.push_back(keys::team(team));
    std::vector<domain::Address> gone;
    for (const auto& [address, member] : entry(team)->members) {
        transaction.removes.push_back(keys::member(team, address));
        gone.push_back(address);
    }
    ticket.add_to(transaction, "", team);
    auto stored = co_await store_.commit(std::move(transaction));
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    const std::unique_lock lock{mutex_};
    for (const auto& address : gone) {
        forget(address, team);
    }
    teams_.erase(team);
    co_return Result<void>{};
}

Result<void> Teams::check_owners(const Entry& entry, const domain::Address& without) const {
    const auto member = entry.members.find(without);
    if (member == entry.members.end() || member->second.role != Role::owner) {
        return {};
    }
    const auto owners = std::ranges::count_if(entry.members, [](const auto& each) {
        return each.second.role == Role::owner;
    });
    return owners > 1 ? Result<void>{} : std::unexpected{last_owner()};
}

std::optional<domain::Team>
Teams::recharged(const Entry& entry, const domain::Address& leaving, ports::Transaction& transaction) {
    if (entry.team.charged != leaving) {
        return std::nullopt;
    }
    const domain::Member* next = nullptr;
    for (const auto& [address, member] : entry.members) {
        const bool fits = address != leaving && member.role == Role::owner;
        if (fits && (next == nullptr || member.since < next->since)) {
            next = &member;
        }
    }
    if (next == nullptr) {
        return std::nullopt;
    }
    auto team = entry.team;
    team.charged = next->address;
    team.updated_at = now();
    ++team.revision;
    transaction.puts.push_back({keys::team(team.id), records::write(team), {}});
    return team;
}

Task<domain::Member> Teams::put_member(
    domain::Caller caller,
    std::string team,
    domain::Address address,
    Role role,
    Ticket ticket
) {
    const auto turn = co_await changing_.take();
    CO_CHECK(check(caller, TeamAction::manage, team));
    const auto* held = entry(team);
    const auto known = held->members.find(address);
    if (known == held->members.end() && held->members.size() >= domain::most_members) {
        co_return fail(Error{
            Code::conflict,
            "the team has " + std::to_string(domain::most_members) + " members, which is the most"
        }
                           .with_slug("team-full"));
    }
    ports::Transaction transaction;
    std::optional<domain::Team> charged;
    if (role != Role::owner) {
        CO_CHECK(check_owners(*held, address));
        charged = recharged(*held, address, transaction);
    }
    domain::Member member{team, address, role, now()};
    if (known != held->members.end()) {
        member.since = known->second.since;
    }
    transaction.puts.push_back({keys::member(team, address), records::write(member), {}});
    ticket.add_to(transaction, "", team);
    auto stored = co_await store_.commit(std::move(transaction));
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    const std::unique_lock lock{mutex_};
    if (const auto place = teams_.find(team); place != teams_.end()) {
        place->second.members.insert_or_assign(address, member);
        place->second.team = charged.value_or(place->second.team);
        by_member_[address].insert(team);
    }
    co_return member;
}

Task<void>
Teams::remove_member(domain::Caller caller, std::string team, domain::Address address, Ticket ticket) {
    const auto turn = co_await changing_.take();
    const bool self = caller.address == address;
    CO_CHECK(check(caller, self ? TeamAction::view : TeamAction::manage, team));
    const auto* held = entry(team);
    if (!held->members.contains(address)) {
        co_return fail(Code::not_found, std::string{address.text()} + " is no member of the team");
    }
    CO_CHECK(check_owners(*held, address));
    ports::Transaction transaction;
    const auto charged = recharged(*held, address, transaction);
    transaction.removes.push_back(keys::member(team, address));
    ticket.add_to(transaction, "", team);
    auto stored = co_await store_.commit(std::move(transaction));
    if (!stored) {
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    const std::unique_lock lock{mutex_};
    if (const auto place = teams_.find(team); place != teams_.end()) {
        place->second.members.erase(address);
        place->second.team = charged.value_or(place->second.team);
    }
    forget(address, team);
    co_return Result<void>{};
}

}  // namespace vmm::app
