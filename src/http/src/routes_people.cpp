#include <array>

#include "handlers.h"
#include "routes.h"

// Accounts, teams, and who may use which machine.
namespace vmm::http {
namespace {

using domain::Action;
using domain::TeamAction;

constexpr Access signer = Access::signer();
constexpr Access view = Access::on_machine(Action::view);
constexpr Access share = Access::on_machine(Action::share);
constexpr Access receiver = Access::receiver();
constexpr Access share_or_receive = Access::receiver().or_giver();
constexpr Access see_team = Access::on_team(TeamAction::view);
constexpr Access manage_team = Access::on_team(TeamAction::manage);
constexpr Access on_account = Access::on_account();

constexpr std::array table{
    Route{
        "GET",
        "/accounts/{address}",
        on_account,
        show_account,
        "An account: your own, or any for administrators",
        "",
        "Account"
    },
    Route{
        "PUT",
        "/accounts/{address}",
        on_account,
        put_account,
        "Register an account or change its name",
        "PutAccount",
        "Account"
    },
    Route{
        "DELETE",
        "/accounts/{address}",
        on_account,
        delete_account,
        "Remove an account that owns no machines",
        "Nothing",
        ""
    },
    Route{
        "GET",
        "/vms/{id}/collaborators",
        view,
        list_collaborators,
        "Who has which role on a machine, beside its owner",
        "",
        "CollaboratorList"
    },
    Route{
        "PUT",
        "/vms/{id}/collaborators/{address}",
        share,
        put_collaborator,
        "Give an address a role on a machine, until expires_at",
        "PutCollaborator",
        "Collaborator"
    },
    Route{
        "DELETE",
        "/vms/{id}/collaborators/{address}",
        share.or_self(),
        delete_collaborator,
        "End the role of an address on a machine; anyone may end their own",
        "Nothing",
        ""
    },
    Route{
        "GET",
        "/vms/{id}/revocations",
        share,
        list_revocations,
        "Capabilities of a machine that have been called back",
        "",
        "RevocationList"
    },
    Route{
        "POST",
        "/vms/{id}/transfer",
        share,
        transfer_vm,
        "Offer a machine to an account or a team; with the receiver's acceptance it is theirs at once",
        "TransferVm",
        "Vm"
    },
    Route{
        "POST",
        "/vms/{id}/transfer/accept",
        receiver,
        accept_transfer,
        "Take over a machine that is offered to you, or to a team in which you are an Owner",
        "AcceptVm",
        "Vm"
    },
    Route{
        "DELETE",
        "/vms/{id}/transfer",
        share_or_receive,
        withdraw_transfer,
        "Take an offer back, or decline it",
        "Nothing",
        ""
    },
    Route{
        "GET",
        "/transfers",
        signer,
        list_transfers,
        "Machines that are offered to you, or by you",
        "",
        "TransferList"
    },
    Route{"GET", "/teams", signer, list_teams, "The teams that you are a member of", "", "TeamList"},
    Route{
        "POST",
        "/teams",
        signer,
        create_team,
        "Make a team; you become its first Owner, and its machines count against your quota",
        "PutTeam",
        "Team"
    },
    Route{"GET", "/teams/{team}", see_team, show_team, "One team", "", "Team"},
    Route{"PATCH", "/teams/{team}", manage_team, update_team, "Change a team's name", "PutTeam", "Team"},
    Route{
        "DELETE",
        "/teams/{team}",
        manage_team,
        delete_team,
        "Delete a team that owns nothing",
        "Nothing",
        ""
    },
    Route{
        "GET",
        "/teams/{team}/members",
        see_team,
        list_members,
        "The members of a team, a page at a time",
        "",
        "MemberList"
    },
    Route{
        "PUT",
        "/teams/{team}/members/{address}",
        manage_team,
        put_member,
        "Make an address a member of a team, or change its role",
        "PutMember",
        "Member"
    },
    Route{
        "DELETE",
        "/teams/{team}/members/{address}",
        manage_team.or_self(),
        delete_member,
        "Remove a member from a team; anyone may leave",
        "Nothing",
        ""
    },
};

}  // namespace

std::span<const Route> people_routes() {
    return table;
}

}  // namespace vmm::http
