#pragma once

#include <boost/describe.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// What travels in bodies about accounts, teams, and who may do what.
namespace vmm::wire {

// Of an account and the teams that it is charged for. In an answer's `quotas` 0 is no limit; in a request 0
// is that too, and what is absent follows the configuration.
struct Quotas {
    std::optional<std::uint64_t> machines;
    std::optional<std::uint64_t> vcpus;
    std::optional<std::uint64_t> memory_mib;
    std::optional<std::uint64_t> disk_bytes;
    std::optional<std::uint64_t> images;
    std::optional<std::uint64_t> forks;
};
BOOST_DESCRIBE_STRUCT(Quotas, (), (machines, vcpus, memory_mib, disk_bytes, images, forks))

// What is absent stays as it is. All but the name is for administrators.
struct PutAccount {
    std::optional<std::string> name;
    std::optional<std::string> status;  // active or suspended
    std::optional<bool> administrator;
    std::optional<Quotas> quotas;
};
BOOST_DESCRIBE_STRUCT(PutAccount, (), (name, status, administrator, quotas))

struct Account {
    std::string address;
    std::string name;
    std::string status;
    bool administrator = false;
    Quotas usage;
    Quotas quotas;
    std::vector<std::string> teams;  // that it is a member of
    std::optional<std::string> created_at;
    std::optional<std::string> updated_at;
    std::int64_t revision = 0;
};
BOOST_DESCRIBE_STRUCT(
    Account,
    (),
    (address, name, status, administrator, usage, quotas, teams, created_at, updated_at, revision)
)

struct PutCollaborator {
    std::string role;  // ReadOnly, Operator, Manager, Owner
    std::optional<std::string> expires_at;
    static constexpr std::array required{"role"};
};
BOOST_DESCRIBE_STRUCT(PutCollaborator, (), (role, expires_at))

struct Collaborator {
    std::string address;
    std::string role;
    std::optional<std::string> expires_at;
    bool expired = false;
    std::string given_by;
    std::string given_at;
};
BOOST_DESCRIBE_STRUCT(Collaborator, (), (address, role, expires_at, expired, given_by, given_at))

struct CollaboratorList {
    std::vector<Collaborator> collaborators;
};
BOOST_DESCRIBE_STRUCT(CollaboratorList, (), (collaborators))

struct TransferVm {
    std::string to;  // an address, or a team's id
    std::optional<bool> keep_collaborators;
    std::optional<std::string> acceptance;  // UNTIL:SIGNATURE of the receiver; then it is theirs at once
    static constexpr std::array required{"to"};
};
BOOST_DESCRIBE_STRUCT(TransferVm, (), (to, keep_collaborators, acceptance))

struct AcceptVm {
    std::optional<std::string> name;  // another than it has
};
BOOST_DESCRIBE_STRUCT(AcceptVm, (), (name))

// A machine that is offered to somebody.
struct Transfer {
    std::string vm;
    std::string name;
    std::optional<std::string> owner;
    std::optional<std::string> team;
    std::string to;
    bool keep_collaborators = false;
    std::string offered_by;
    std::string offered_at;
};
BOOST_DESCRIBE_STRUCT(Transfer, (), (vm, name, owner, team, to, keep_collaborators, offered_by, offered_at))

struct TransferList {
    std::vector<Transfer> transfers;
};
BOOST_DESCRIBE_STRUCT(TransferList, (), (transfers))

struct PutTeam {
    std::string name;
    static constexpr std::array required{"name"};
};
BOOST_DESCRIBE_STRUCT(PutTeam, (), (name))

struct Team {
    std::string id;
    std::string name;
    std::string role;  // the caller's own; none for an administrator who is no member
    std::uint64_t members = 0;
    std::uint64_t machines = 0;
    std::string charged_to;
    std::string created_at;
    std::string updated_at;
    std::int64_t revision = 0;
};
BOOST_DESCRIBE_STRUCT(
    Team,
    (),
    (id, name, role, members, machines, charged_to, created_at, updated_at, revision)
)

struct TeamList {
    std::vector<Team> teams;
};
BOOST_DESCRIBE_STRUCT(TeamList, (), (teams))

struct PutMember {
    std::string role;
    static constexpr std::array required{"role"};
};
BOOST_DESCRIBE_STRUCT(PutMember, (), (role))

struct Member {
    std::string address;
    std::string role;
    std::string since;
};
BOOST_DESCRIBE_STRUCT(Member, (), (address, role, since))

struct MemberList {
    std::vector<Member> members;
    std::optional<std::string> next_cursor;
};
BOOST_DESCRIBE_STRUCT(MemberList, (), (members, next_cursor))

}  // namespace vmm::wire
