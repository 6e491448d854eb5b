#include <array>

#include "handlers.h"
#include "routes.h"

// Inside guests.
namespace vmm::http {
namespace {

using domain::Action;

constexpr Access view = Access::on_machine(Action::view);
constexpr Access operate = Access::on_machine(Action::operate);

constexpr std::array table{
    Route{
        "GET",
        "/vms/{id}/explain",
        view,
        explain_vm,
        "What a machine waits for, since when, what was last seen of it, and what to do",
        "",
        "Explanation"
    },
    Route{"GET", "/vms/{id}/guest", view, show_guest, "What the agent in the guest says of it", "", "Guest"},
    Route{
        "POST",
        "/vms/{id}/exec",
        operate,
        exec_vm,
        "Run a program in the guest; the answer is a line of JSON for each piece of output, and one for its "
        "end",
        "Exec",
        "JsonLines"
    },
    Route{
        "PUT",
        "/vms/{id}/files",
        operate,
        push_file,
        "Write a file in the guest; ?path= says where",
        "Bytes",
        ""
    },
    Route{
        "GET",
        "/vms/{id}/files",
        operate,
        pull_file,
        "Read a file of the guest; ?path= says which",
        "",
        "Bytes"
    },
    Route{
        "POST",
        "/vms/{id}/ssh-keys",
        operate,
        add_ssh_keys,
        "Let these keys log in to a user of the guest, root unless told",
        "AddSshKeys",
        ""
    },
};

}  // namespace

std::span<const Route> guest_routes() {
    return table;
}

}  // namespace vmm::http
