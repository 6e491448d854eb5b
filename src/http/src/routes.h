#pragma once

#include "vmm/domain/access.h"

#include <span>
#include <string>
#include <string_view>

#include "request.h"

namespace vmm::http {

// Who may use a route. There is no default: a row without access does not compile.
class Access {
public:
    enum class Kind : std::uint8_t {
        anyone,  // no signature is asked for
        signer,  // any registered signer; the handler shows only what is theirs
        administrator,
        machine,    // who may do the action to the machine {id}
        receiver,   // to whom the machine {id} is offered, and administrators
        team,       // members of the team {team} who may do the team action
        account,    // whose account {address} is, and administrators
        image,      // who may see, or with `own` remove, the image {name}
        volume,     // whose volume {volume} is, or whose team's
        operation,  // who may see the machine that the operation {op} is about, or asked for it
    };

    static constexpr Access anyone() { return Access{Kind::anyone}; }

    static constexpr Access signer() { return Access{Kind::signer}; }

    static constexpr Access administrator() { return Access{Kind::administrator}; }

    static constexpr Access on_machine(domain::Action action) {
        Access access{Kind::machine};
        access.action_ = action;
        return access;
    }

    static constexpr Access receiver() { return Access{Kind::receiver}; }

    static constexpr Access on_team(domain::TeamAction action) {
        Access access{Kind::team};
        access.team_action_ = action;
        return access;
    }

    static constexpr Access on_account() { return Access{Kind::account}; }

    static constexpr Access on_image(domain::Action action) {
        Access access{Kind::image};
        access.action_ = action;
        return access;
    }

    static constexpr Access on_volume() { return Access{Kind::volume}; }

    static constexpr Access on_operation() { return Access{Kind::operation}; }

    // Those who may see it may also do this about themselves, as {address}.
    [[nodiscard]] constexpr Access or_self() const {
        auto access = *this;
        access.self_ = true;
        return access;
    }

    // Of a receiver: who may give the machine away, too.
    [[nodiscard]] constexpr Access or_giver() const {
        auto access = *this;
        access.giver_ = true;
        return access;
    }

    [[nodiscard]] constexpr Kind kind() const { return kind_; }

    [[nodiscard]] constexpr domain::Action action() const { return action_; }

    [[nodiscard]] constexpr domain::TeamAction team_action() const { return team_action_; }

    [[nodiscard]] constexpr bool allows_self() const { return self_; }

    [[nodiscard]] constexpr bool allows_giver() const { return giver_; }

    // The kind's name, and the weakest role within it; for the API's description.
    [[nodiscard]] std::string_view kind_name() const;
    [[nodiscard]] std::string_view role_name() const;

private:
    constexpr explicit Access(Kind kind) : kind_{kind} {}

    Kind kind_;
    domain::Action action_ = domain::Action::view;
    domain::TeamAction team_action_ = domain::TeamAction::view;
    bool self_ = false;
    bool giver_ = false;
};

using Handler = Task<Reply> (*)(Service& service, Request& request);

struct Route {
    constexpr Route(
        std::string_view verb,
        std::string_view path,
        Access who,
        Handler does,
        std::string_view about,
        std::string_view takes,
        std::string_view gives,
        bool reads_itself = false
    )
        : method{verb},
          pattern{path},
          access{who},
          handler{does},
          summary{about},
          body{takes},
          answer{gives},
          streams{reads_itself} {}

    std::string_view method;
    std::string_view pattern;  // {name} stands for one segment; literal rows come before these
    Access access;
    Handler handler;
    std::string_view summary;
    std::string_view body;    // the schema of the request's body, or empty
    std::string_view answer;  // the schema of a successful answer, or empty for none
    bool streams;             // a body that is not JSON is read by the handler
};

// Every route of the service, without the /v1 prefix under which each is served again.
std::span<const Route> routes();

// Its parts.
std::span<const Route> machine_routes();
std::span<const Route> storage_routes();
std::span<const Route> network_routes();
std::span<const Route> guest_routes();
std::span<const Route> people_routes();
std::span<const Route> system_routes();

// The request's caller may use the route; not_found or forbidden. What only the application knows is checked
// there.
Result<void> check_access(const Service& service, const Route& route, const Request& request);

}  // namespace vmm::http
