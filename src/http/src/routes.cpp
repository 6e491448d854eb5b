#include "routes.h"

#include <array>

#include "handlers.h"

namespace vmm::http {
namespace {

using domain::Action;

constexpr Access anyone = Access::anyone();
constexpr Access signer = Access::signer();
constexpr Access view = Access::on_machine(Action::view);
constexpr Access operate = Access::on_machine(Action::operate);
constexpr Access configure = Access::on_machine(Action::configure);
constexpr Access own = Access::on_machine(Action::own);

constexpr std::array table{
    Route{"GET", "/health", anyone, show_health, "Whether the service can do its work", "", "Health"},
    Route{"GET", "/openapi.json", signer, show_openapi, "This document", "", "Document"},
    Route{
        "POST",
        "/vm/boot_complete",
        anyone,
        boot_complete,
        "A guest reports, with its one-time token, that it has booted",
        "BootComplete",
        "Vm"
    },
    Route{
        "POST",
        "/vm/create",
        signer,
        create_vm,
        "Create a machine and, unless told otherwise, boot it",
        "CreateVm",
        "Vm"
    },
    Route{
        "POST",
        "/vms",
        signer,
        create_vm,
        "Create a machine and, unless told otherwise, boot it",
        "CreateVm",
        "Vm"
    },
    Route{"GET", "/vms", signer, list_vms, "The machines that you may see, a page at a time", "", "VmList"},
    Route{
        "GET",
        "/vms/list",
        signer,
        list_vms,
        "The machines that you may see, a page at a time",
        "",
        "VmList"
    },
    Route{"GET", "/vms/{id}", view, show_vm, "One machine", "", "Vm"},
    Route{"GET", "/vm/{id}", view, show_vm, "One machine", "", "Vm"},
    Route{"GET", "/vm/{id}/info", view, show_vm, "One machine", "", "Vm"},
    Route{"PATCH", "/vms/{id}", configure, update_vm, "Change name and labels", "UpdateVm", "Vm"},
    Route{"POST", "/vm/{id}/update", configure, update_vm, "Change name and labels", "UpdateVm", "Vm"},
    Route{
        "DELETE",
        "/vms/{id}",
        own,
        delete_vm,
        "Delete a machine with its disk; ?force=true also when it runs",
        "Nothing",
        ""
    },
    Route{
        "POST",
        "/vm/{id}/delete",
        own,
        delete_vm,
        "Delete a machine with its disk; ?force=true also when it runs",
        "Nothing",
        ""
    },
    Route{"POST", "/vms/{id}/start", operate, start_vm, "Boot a machine", "Nothing", "Vm"},
    Route{"POST", "/vm/{id}/start", operate, start_vm, "Boot a machine", "Nothing", "Vm"},
    Route{"POST", "/vm/{id}/boot", operate, start_vm, "Boot a machine", "Nothing", "Vm"},
    Route{"POST", "/vm/{id}/on", operate, start_vm, "Boot a machine", "Nothing", "Vm"},
    Route{
        "POST",
        "/vms/{id}/stop",
        operate,
        stop_vm,
        "Press the power button, then end by force after the timeout",
        "StopVm",
        "Vm"
    },
    Route{
        "POST",
        "/vm/{id}/stop",
        operate,
        stop_vm,
        "Press the power button, then end by force after the timeout",
        "StopVm",
        "Vm"
    },
    Route{
        "POST",
        "/vms/{id}/restart",
        operate,
        restart_vm,
        "Stop as /stop does, then boot again",
        "StopVm",
        "Vm"
    },
    Route{
        "POST",
        "/vm/{id}/restart",
        operate,
        restart_vm,
        "Stop as /stop does, then boot again",
        "StopVm",
        "Vm"
    },
    Route{
        "POST",
        "/vm/{id}/reboot",
        operate,
        restart_vm,
        "Stop as /stop does, then boot again",
        "StopVm",
        "Vm"
    },
    Route{
        "POST",
        "/vms/{id}/pause",
        operate,
        pause_vm,
        "Stop the machine's processors where they are",
        "Nothing",
        "Vm"
    },
    Route{
        "POST",
        "/vm/{id}/pause",
        operate,
        pause_vm,
        "Stop the machine's processors where they are",
        "Nothing",
        "Vm"
    },
    Route{"POST", "/vms/{id}/resume", operate, resume_vm, "Let a paused machine go on", "Nothing", "Vm"},
    Route{"POST", "/vm/{id}/resume", operate, resume_vm, "Let a paused machine go on", "Nothing", "Vm"},
    Route{
        "GET",
        "/operations",
        signer,
        list_operations,
        "Your operations of the last day, newest first",
        "",
        "OperationList"
    },
    Route{
        "GET",
        "/operations/{op}",
        signer,
        show_operation,
        "One operation; ?wait=SECONDS waits for its end",
        "",
        "Operation"
    },
    Route{
        "GET",
        "/accounts/{address}",
        signer,
        show_account,
        "An account: your own, or any for administrators",
        "",
        "Account"
    },
    Route{
        "PUT",
        "/accounts/{address}",
        signer,
        put_account,
        "Register an account or change its name",
        "PutAccount",
        "Account"
    },
    Route{
        "DELETE",
        "/accounts/{address}",
        signer,
        delete_account,
        "Remove an account that owns no machines",
        "Nothing",
        ""
    },
};

}  // namespace

std::span<const Route> routes() {
    return table;
}

}  // namespace vmm::http
