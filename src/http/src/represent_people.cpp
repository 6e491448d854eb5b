#include "represent.h"

namespace vmm::http {

wire::Quotas represent(const domain::Quotas& quotas) {
    return {quotas.machines, quotas.vcpus, quotas.memory_mib, quotas.disk_bytes, quotas.images, quotas.forks};
}

wire::Account represent(const domain::Account& account) {
    wire::Account out;
    out.address = account.address.text();
    out.name = account.name;
    out.status = name(account.status);
    out.administrator = account.administrator;
    if (account.revision > 0) {
        out.created_at = rfc3339(account.created_at);
        out.updated_at = rfc3339(account.updated_at);
    }
    out.revision = account.revision;
    return out;
}

wire::Collaborator represent(const domain::Grant& grant) {
    wire::Collaborator out;
    out.address = grant.to.text();
    out.role = name(grant.role);
    if (grant.expires_at) {
        out.expires_at = rfc3339(*grant.expires_at);
        out.expired = *grant.expires_at <= now();
    }
    out.given_by = grant.given_by.text();
    out.given_at = rfc3339(grant.given_at);
    return out;
}

wire::Transfer transfer_of(const domain::Vm& vm) {
    wire::Transfer out;
    out.vm = vm.id;
    out.name = vm.name;
    if (const auto account = vm.owner.account()) {
        out.owner = account->text();
    } else {
        out.team = vm.owner.team();
    }
    out.to = vm.offer->to.text();
    out.keep_collaborators = vm.offer->keep_collaborators;
    out.offered_by = vm.offer->offered_by.text();
    out.offered_at = rfc3339(vm.offer->offered_at);
    return out;
}

wire::Member represent(const domain::Member& member) {
    return {std::string{member.address.text()}, std::string{name(member.role)}, rfc3339(member.since)};
}

wire::Team represent(const domain::Team& team) {
    wire::Team out;
    out.id = team.id;
    out.name = team.name;
    out.charged_to = team.charged.text();
    out.created_at = rfc3339(team.created_at);
    out.updated_at = rfc3339(team.updated_at);
    out.revision = team.revision;
    return out;
}

}  // namespace vmm::http
