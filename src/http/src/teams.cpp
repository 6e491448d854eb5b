#include "handlers.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

wire::Team shown(const Service& service, const Request& request, const domain::Team& team) {
    auto out = represent(team);
    out.role = name(service.teams.role_in(team.id, request.caller.address));
    out.members = service.teams.members(team.id);
    out.machines = service.world.registry.owned_by(domain::Owner::of_team(team.id));
    return out;
}

Reply team_reply(const Service& service, const Request& request, const domain::Team& team, int status) {
    auto reply = json_reply(status, shown(service, request, team));
    reply.headers.emplace_back("ETag", etag(team.revision));
    return reply;
}

}  // namespace

Task<Reply> list_teams(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    wire::TeamList list;
    for (const auto& id : service.teams.of(request.caller.address)) {
        if (const auto team = service.teams.find(id)) {
            list.teams.push_back(shown(service, request, *team));
        }
    }
    co_return json_reply(200, list);
}

Task<Reply> create_team(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::PutTeam>(request));
    auto making = service.teams.create(request.caller, std::move(wanted.name), request.ticket);
    CO_TRY(const auto team, co_await on_application(service, std::move(making)));
    auto reply = team_reply(service, request, team, 201);
    reply.headers.emplace_back("Location", "/teams/" + team.id);
    co_return reply;
}

Task<Reply> show_team(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(
        const auto team,
        service.teams.check(request.caller, domain::TeamAction::view, request.parameters.at("team"))
    );
    co_return team_reply(service, request, team, 200);
}

Task<Reply> update_team(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(auto wanted, body_of<wire::PutTeam>(request));
    auto renaming = service.teams.rename(
        request.caller, request.parameters.at("team"), std::move(wanted.name), expected, request.ticket
    );
    CO_TRY(const auto team, co_await on_application(service, std::move(renaming)));
    co_return team_reply(service, request, team, 200);
}

Task<Reply> delete_team(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    auto removing = service.teams.remove(request.caller, request.parameters.at("team"), request.ticket);
    CO_CHECK(co_await on_application(service, std::move(removing)));
    co_return gone();
}

Task<Reply> list_members(Service& service, Request& request) {
    CO_CHECK(check_query(request, {"limit", "cursor"}));
    CO_TRY(const auto limit, query_limit(request));
    std::optional<domain::Address> after;
    if (const auto* cursor = query(request, "cursor")) {
        const auto parsed = service.world.signatures.parse_address(*cursor);
        if (!parsed) {
            co_return invalid("cursor", "expected the next_cursor of an earlier page");
        }
        after = *parsed;
    }
    auto page = service.teams.page(request.parameters.at("team"), after, limit + 1);
    wire::MemberList list;
    if (page.size() > limit) {
        page.pop_back();
        list.next_cursor = page.back().address.text();
    }
    for (const auto& member : page) {
        list.members.push_back(represent(member));
    }
    co_return json_reply(200, list);
}

Task<Reply> put_member(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto wanted, body_of<wire::PutMember>(request));
    CO_TRY(const auto address, address_in(service, request));
    CO_TRY(const auto role, role_of(wanted.role));
    auto putting = service.teams.put_member(
        request.caller, request.parameters.at("team"), address, role, request.ticket
    );
    CO_TRY(const auto member, co_await on_application(service, std::move(putting)));
    co_return json_reply(200, represent(member));
}

Task<Reply> delete_member(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    CO_TRY(const auto address, address_in(service, request));
    auto removing =
        service.teams.remove_member(request.caller, request.parameters.at("team"), address, request.ticket);
    CO_CHECK(co_await on_application(service, std::move(removing)));
    co_return gone();
}

}  // namespace vmm::http
