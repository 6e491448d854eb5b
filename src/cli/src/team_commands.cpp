#include "vmm/json/write.h"

#include <cstdio>

#include "app.h"
#include "client.h"
#include "output.h"

namespace vmm::cli {
namespace {

struct TeamOptions {
    std::string team;
    std::string name;
    std::string address;
    std::string role = "ReadOnly";
};

std::string named(const std::string& name) {
    json::Object body;
    body.emplace_back("name", json::Value{name});
    return json::compact(json::Value{std::move(body)});
}

Result<void> list_members(const Settings& settings, const TeamOptions& options) {
    Client client{settings};
    TRY(const auto id, client.resolve_team(options.team));
    TRY(const auto answer, client.call("GET", "/teams/" + id + "/members?limit=1000"));
    print_list(settings, answer, "members", {"address", "role", "since"});
    if (settings.output != "json" && !answer.find("next_cursor")->is_null()) {
        std::fputs("there are more; -o json and the API's cursor lead to them\n", stderr);
    }
    return {};
}

Result<void> put_member(const Settings& settings, const TeamOptions& options) {
    Client client{settings};
    TRY(const auto id, client.resolve_team(options.team));
    json::Object body;
    body.emplace_back("role", json::Value{options.role});
    TRY(const auto answer,
        client.call(
            "PUT", "/teams/" + id + "/members/" + options.address, json::compact(json::Value{std::move(body)})
        ));
    print_object(settings, answer);
    return {};
}

Result<void> drop_member(const Settings& settings, const TeamOptions& options) {
    Client client{settings};
    TRY(const auto id, client.resolve_team(options.team));
    TRY(const auto address, client.address_or_own(options.address));
    CHECK(client.call("DELETE", "/teams/" + id + "/members/" + address));
    std::printf("%s is no member of %s any more\n", address.c_str(), options.team.c_str());
    return {};
}

}  // namespace

void Vmctl::add_team_commands() {
    auto* team = command("team", "Teams that own machines together");
    team->require_subcommand(1);
    action(command("ls", "Your teams", team), [this]() -> Result<void> {
        Client client{settings_};
        TRY(const auto answer, client.call("GET", "/teams"));
        print_list(settings_, answer, "teams", {"id", "name", "role", "members", "machines"});
        return {};
    });

    auto* making = command("new", "Make a team; you become its first Owner", team);
    auto fresh = std::make_shared<std::string>();
    making->add_option("name", *fresh, "Its name")->required();
    action(making, [this, fresh]() -> Result<void> {
        Client client{settings_};
        TRY(const auto answer, client.call("POST", "/teams", named(*fresh)));
        print_object(settings_, answer);
        return {};
    });

    const auto on_team = [this, team](const char* name, const char* about) {
        auto* added = command(name, about, team);
        auto options = std::make_shared<TeamOptions>();
        added->add_option("team", options->team, "Name or id")->required();
        return std::pair{added, options};
    };
    const auto [showing, shown_team] = on_team("show", "Show a team");
    action(showing, [this, options = shown_team]() -> Result<void> {
        Client client{settings_};
        TRY(const auto id, client.resolve_team(options->team));
        TRY(const auto answer, client.call("GET", "/teams/" + id));
        print_object(settings_, answer);
        return {};
    });
    const auto [renaming, renamed] = on_team("rename", "Change a team's name");
    renaming->add_option("name", renamed->name, "Its new name")->required();
    action(renaming, [this, options = renamed]() -> Result<void> {
        Client client{settings_};
        TRY(const auto id, client.resolve_team(options->team));
        TRY(const auto answer, client.call("PATCH", "/teams/" + id, named(options->name)));
        print_object(settings_, answer);
        return {};
    });
    const auto [removing, gone] = on_team("rm", "Delete a team that owns nothing");
    action(removing, [this, options = gone]() -> Result<void> {
        Client client{settings_};
        TRY(const auto id, client.resolve_team(options->team));
        CHECK(client.call("DELETE", "/teams/" + id));
        std::printf("%s deleted\n", options->team.c_str());
        return {};
    });
    const auto [listing, listed] = on_team("members", "The members of a team");
    action(listing, [this, options = listed] { return list_members(settings_, *options); });
    const auto [adding, added] = on_team("add", "Make an address a member of a team, or change its role");
    adding->add_option("address", added->address, "Whom")->required();
    adding->add_option("role", added->role, "ReadOnly, Operator, Manager or Owner")
        ->check(CLI::IsMember({"ReadOnly", "Operator", "Manager", "Owner"}))
        ->capture_default_str();
    action(adding, [this, options = added] { return put_member(settings_, *options); });
    const auto [dropping, dropped] = on_team("drop", "Remove a member from a team; you by default");
    dropping->add_option("address", dropped->address, "Whom");
    action(dropping, [this, options = dropped] { return drop_member(settings_, *options); });
}

}  // namespace vmm::cli
