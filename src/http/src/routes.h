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
    enum class Kind : std::uint8_t { anyone, signer, machine };

    // No signature is asked for.
    static constexpr Access anyone() { return Access{Kind::anyone, domain::Action::view}; }

    // Any registered signer; the handler shows only what is theirs.
    static constexpr Access signer() { return Access{Kind::signer, domain::Action::view}; }

    // A signer who may do this to the machine {id}; others get 404 or 403 before the handler runs.
    static constexpr Access on_machine(domain::Action action) { return Access{Kind::machine, action}; }

    [[nodiscard]] constexpr Kind kind() const { return kind_; }

    [[nodiscard]] constexpr domain::Action action() const { return action_; }

private:
    constexpr Access(Kind kind, domain::Action action) : kind_{kind}, action_{action} {}

    Kind kind_;
    domain::Action action_;
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

}  // namespace vmm::http
