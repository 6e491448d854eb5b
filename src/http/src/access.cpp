#include "vmm/base/text.h"

#include "routes.h"

namespace vmm::http {
namespace {

using domain::Action;
using domain::TeamAction;
using Kind = Access::Kind;

Result<void> check_machine(const Service& service, const Access& access, const Request& request) {
    const auto& id = request.parameters.at("id");
    const auto vm = service.world.registry.find(id);
    if (!vm) {
        return fail(Code::not_found, "there is no machine " + quote(id) + ", or it is not visible to you");
    }
    const auto& permissions = service.permissions;
    if (access.kind() != Kind::receiver) {
        return permissions.check(request.caller, access.action(), *vm);
    }
    if (permissions.receives(request.caller, *vm) || request.caller.administrator) {
        return {};
    }
    if (access.allows_giver()) {
        return permissions.check(request.caller, Action::share, *vm);
    }
    CHECK(permissions.check(request.caller, Action::view, *vm));
    return fail(Error{Code::forbidden, "the machine is not offered to you"}.with_slug("not-offered"));
}

Result<void> check_account(const Service& service, const Request& request) {
    const auto address = service.world.signatures.parse_address(request.parameters.at("address"));
    if (!address) {
        return invalid("address", address.error().message());
    }
    return request.caller.administrator || *address == request.caller.address
               ? Result<void>{}
               : fail(Code::not_found, "there is no such account, or it is not visible to you");
}

// Whether the request is about the caller alone.
bool about_self(const Service& service, const Request& request) {
    const auto address = service.world.signatures.parse_address(request.parameters.at("address"));
    return address && *address == request.caller.address;
}

}  // namespace

Result<void> check_access(const Service& service, const Route& route, const Request& request) {
    auto access = route.access;
    if (access.allows_self() && about_self(service, request)) {
        access = access.kind() == Kind::team ? Access::on_team(TeamAction::view)
                                             : Access::on_machine(Action::view);
    }
    switch (access.kind()) {
        case Kind::machine:
        case Kind::receiver: return check_machine(service, access, request);
        case Kind::team:
            CHECK(service.teams.check(request.caller, access.team_action(), request.parameters.at("team")));
            return {};
        case Kind::account: return check_account(service, request);
        case Kind::administrator:
            return request.caller.administrator
                       ? Result<void>{}
                       : fail(Error{Code::forbidden, "this is for administrators"}.with_slug(
                             "not-administrator"
                         ));
        case Kind::anyone:
        case Kind::signer:
        case Kind::image:
        case Kind::volume:
        case Kind::operation: return {};
    }
    return {};
}

std::string_view Access::kind_name() const {
    switch (kind_) {
        case Kind::anyone: return "anyone";
        case Kind::signer: return "signer";
        case Kind::machine: return "machine";
        case Kind::administrator: return "administrator";
        case Kind::receiver: return allows_giver() ? "giver-or-receiver" : "receiver";
        case Kind::team: return "team";
        case Kind::account: return "account";
        case Kind::image: return "image";
        case Kind::volume: return "volume";
        case Kind::operation: return "operation";
    }
    return "signer";
}

std::string_view Access::role_name() const {
    switch (kind_) {
        case Kind::machine: return name(role_for(action_));
        case Kind::team: return name(role_for(team_action_));
        case Kind::image: return action_ == Action::own ? "Owner" : "ReadOnly";
        case Kind::receiver:
        case Kind::account:
        case Kind::volume: return "Owner";
        case Kind::anyone:
        case Kind::signer:
        case Kind::administrator:
        case Kind::operation: return "";
    }
    return "";
}

}  // namespace vmm::http
