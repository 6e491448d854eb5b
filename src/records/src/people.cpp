#include "vmm/json/decode.h"
#include "vmm/json/encode.h"
#include "vmm/records/records.h"

#include "row.h"

namespace vmm::records {
namespace {

using domain::Address;

struct QuotaRow {
    std::optional<std::uint64_t> machines;
    std::optional<std::uint64_t> vcpus;
    std::optional<std::uint64_t> memory_mib;
    std::optional<std::uint64_t> disk_bytes;
    std::optional<std::uint64_t> images;
    std::optional<std::uint64_t> forks;
};
BOOST_DESCRIBE_STRUCT(QuotaRow, (), (machines, vcpus, memory_mib, disk_bytes, images, forks))

struct AccountRow {
    int v = schema_version;
    std::string address;
    std::string name;
    std::string status = "active";
    bool administrator = false;
    QuotaRow quotas;
    std::int64_t created_at = 0;
    std::int64_t updated_at = 0;
    std::int64_t revision = 0;
};
BOOST_DESCRIBE_STRUCT(
    AccountRow,
    (),
    (v, address, name, status, administrator, quotas, created_at, updated_at, revision)
)

struct TeamRow {
    int v = schema_version;
    std::string id;
    std::string name;
    std::string charged;
    std::int64_t created_at = 0;
    std::int64_t updated_at = 0;
    std::int64_t revision = 0;
};
BOOST_DESCRIBE_STRUCT(TeamRow, (), (v, id, name, charged, created_at, updated_at, revision))

struct MemberRow {
    int v = schema_version;
    std::string team;
    std::string address;
    std::string role;
    std::int64_t since = 0;
};
BOOST_DESCRIBE_STRUCT(MemberRow, (), (v, team, address, role, since))

struct SessionRow {
    int v = schema_version;
    std::string id;
    std::string address;
    std::string token_hash;
    std::string peer;
    std::string agent;
    std::int64_t created_at = 0;
    std::int64_t expires_at = 0;
};
BOOST_DESCRIBE_STRUCT(SessionRow, (), (v, id, address, token_hash, peer, agent, created_at, expires_at))

struct RevocationRow {
    int v = schema_version;
    std::string id;
    std::string vm;
    std::string by;
    std::int64_t at = 0;
    std::int64_t expires_at = 0;
};
BOOST_DESCRIBE_STRUCT(RevocationRow, (), (v, id, vm, by, at, expires_at))

}  // namespace

std::string write(const domain::Session& session) {
    return json::encode(SessionRow{
        schema_version,
        session.id,
        std::string{session.address.text()},
        session.token_hash,
        session.peer,
        session.agent,
        session.created_at.ms,
        session.expires_at.ms
    });
}

Result<domain::Session> read_session(std::string_view text) {
    TRY(auto row, read_row<SessionRow>(text));
    const auto address = Address::from_stored(row.address);
    if (!address) {
        return corrupt("its address is not one");
    }
    return domain::Session{
        std::move(row.id),
        *address,
        std::move(row.token_hash),
        std::move(row.peer),
        std::move(row.agent),
        {row.created_at},
        {row.expires_at}
    };
}

std::string write(const domain::Revocation& revocation) {
    return json::encode(RevocationRow{
        schema_version,
        revocation.id,
        revocation.vm,
        std::string{revocation.by.text()},
        revocation.at.ms,
        revocation.expires_at.ms
    });
}

Result<domain::Revocation> read_revocation(std::string_view text) {
    TRY(auto row, read_row<RevocationRow>(text));
    const auto by = Address::from_stored(row.by);
    if (!by) {
        return corrupt("its address is not one");
    }
    return domain::Revocation{std::move(row.id), std::move(row.vm), *by, {row.at}, {row.expires_at}};
}

std::string write(const domain::Account& account) {
    AccountRow row;
    row.address = account.address.text();
    row.name = account.name;
    row.status = name(account.status);
    row.administrator = account.administrator;
    const auto& wish = account.quotas;
    row.quotas = {wish.machines, wish.vcpus, wish.memory_mib, wish.disk_bytes, wish.images, wish.forks};
    row.created_at = account.created_at.ms;
    row.updated_at = account.updated_at.ms;
    row.revision = account.revision;
    return json::encode(row);
}

Result<domain::Account> read_account(std::string_view text) {
    TRY(auto row, read_row<AccountRow>(text));
    const auto address = Address::from_stored(row.address);
    const auto status = domain::account_status_named(row.status);
    if (!address || !status) {
        return corrupt("its address or status is not one");
    }
    domain::Account account;
    account.address = *address;
    account.name = std::move(row.name);
    account.status = *status;
    account.administrator = row.administrator;
    const auto& quotas = row.quotas;
    account.quotas = {
        quotas.machines, quotas.vcpus, quotas.memory_mib, quotas.disk_bytes, quotas.images, quotas.forks
    };
    account.created_at = {row.created_at};
    account.updated_at = {row.updated_at};
    account.revision = row.revision;
    return account;
}

std::string write(const domain::Team& team) {
    TeamRow row;
    row.id = team.id;
    row.name = team.name;
    row.charged = team.charged.text();
    row.created_at = team.created_at.ms;
    row.updated_at = team.updated_at.ms;
    row.revision = team.revision;
    return json::encode(row);
}

Result<domain::Team> read_team(std::string_view text) {
    TRY(auto row, read_row<TeamRow>(text));
    const auto charged = Address::from_stored(row.charged);
    if (!charged) {
        return corrupt("whom it is charged to is no address");
    }
    domain::Team team;
    team.id = std::move(row.id);
    team.name = std::move(row.name);
    team.charged = *charged;
    team.created_at = {row.created_at};
    team.updated_at = {row.updated_at};
    team.revision = row.revision;
    return team;
}

std::string write(const domain::Member& member) {
    MemberRow row;
    row.team = member.team;
    row.address = member.address.text();
    row.role = name(member.role);
    row.since = member.since.ms;
    return json::encode(row);
}

Result<domain::Member> read_member(std::string_view text) {
    TRY(auto row, read_row<MemberRow>(text));
    const auto address = Address::from_stored(row.address);
    const auto role = domain::role_named(row.role);
    if (!address || !role) {
        return corrupt("its address or role is not one");
    }
    return domain::Member{std::move(row.team), *address, *role, {row.since}};
}

}  // namespace vmm::records
