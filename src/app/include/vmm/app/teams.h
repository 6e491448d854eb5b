#pragma once

#include "vmm/app/ticket.h"
#include "vmm/base/slots.h"
#include "vmm/base/task.h"
#include "vmm/domain/access.h"
#include "vmm/domain/team.h"
#include "vmm/ports/state_store.h"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace vmm::app {

// The teams and their members. Looking up is thread-safe and never waits for the store; changes are made on
// the application's executor.
class Teams {
public:
    explicit Teams(ports::StateStore& store) : store_{store} {}

    Task<void> load();

    // Role::none when there is no such team or the address is no member.
    [[nodiscard]] domain::Role role_in(const std::string& team, const domain::Address& address) const;
    [[nodiscard]] std::optional<domain::Team> find(const std::string& team) const;
    [[nodiscard]] std::set<std::string> of(const domain::Address& address) const;
    [[nodiscard]] std::size_t members(const std::string& team) const;
    // How many teams the account is charged for.
    [[nodiscard]] std::size_t charged_to(const domain::Address& address) const;

    // not_found for those who are neither members nor administrators; forbidden when the role is too low.
    [[nodiscard]] Result<domain::Team>
    check(const domain::Caller& caller, domain::TeamAction action, const std::string& team) const;

    // In the order of their addresses, after `after`, at most `limit`.
    [[nodiscard]] std::vector<domain::Member>
    page(const std::string& team, const std::optional<domain::Address>& after, std::size_t limit) const;

    // The caller becomes its first Owner and is charged for it. conflict "too-many-teams".
    Task<domain::Team> create(domain::Caller caller, std::string name, Ticket ticket);
    Task<domain::Team> rename(
        domain::Caller caller,
        std::string team,
        std::string name,
        std::optional<std::int64_t> expected_revision,
        Ticket ticket
    );
    // conflict "team-owns-machines" while `owns` says so.
    Task<void> remove(domain::Caller caller, std::string team, Ticket ticket);

    // Adds a member, or changes one's role. conflict "last-owner", "team-full".
    Task<domain::Member> put_member(
        domain::Caller caller,
        std::string team,
        domain::Address address,
        domain::Role role,
        Ticket ticket
    );
    // By a manager of the team, or by the member itself. conflict "last-owner".
    Task<void> remove_member(domain::Caller caller, std::string team, domain::Address address, Ticket ticket);

    // Whether something belongs to the team; set by the Fleet.
    std::function<bool(const std::string& team)> owns;

private:
    struct Entry {
        domain::Team team;
        std::map<domain::Address, domain::Member> members;
    };

    // Says no when the team would be left without an Owner.
    Result<void> check_owners(const Entry& entry, const domain::Address& without) const;
    // Hands the charge on when it was this member's; adds that to the transaction.
    static std::optional<domain::Team>
    recharged(const Entry& entry, const domain::Address& leaving, ports::Transaction& transaction);
    [[nodiscard]] const Entry* entry(const std::string& team) const;
    void forget(const domain::Address& address, const std::string& team);

    ports::StateStore& store_;
    Slots changing_{1};  // one change at a time, from its checks to its end
    mutable std::shared_mutex mutex_;
    std::map<std::string, Entry> teams_;
    std::unordered_map<domain::Address, std::set<std::string>, domain::AddressHash> by_member_;
};

}  // namespace vmm::app
