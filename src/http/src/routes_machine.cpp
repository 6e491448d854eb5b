#include <array>

#include "handlers.h"
#include "routes.h"

// Machines and what may be done to them.
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
    Route{
        "PATCH",
        "/vms/{id}",
        configure,
        update_vm,
        "Change name and labels, or make the root disk larger (disk_gib)",
        "UpdateVm",
        "Vm"
    },
    Route{
        "POST",
        "/vm/{id}/update",
        configure,
        update_vm,
        "Change name and labels, or make the root disk larger (disk_gib)",
        "UpdateVm",
        "Vm"
    },
    Route{
        "DELETE",
        "/vms/{id}",
        own,
        delete_vm,
        "Delete a machine with its root disk; ?force=true also when it runs, ?volumes=true with its volumes",
        "Nothing",
        ""
    },
    Route{
        "POST",
        "/vm/{id}/delete",
        own,
        delete_vm,
        "Delete a machine with its root disk; ?force=true also when it runs, ?volumes=true with its volumes",
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
        "POST",
        "/vms/{id}/clone",
        configure,
        clone_vm,
        "A new machine whose root disk is a copy of this one's as it is now",
        "CloneVm",
        "Vm"
    },
    Route{
        "POST",
        "/vm/{id}/clone",
        configure,
        clone_vm,
        "A new machine whose root disk is a copy of this one's as it is now",
        "CloneVm",
        "Vm"
    },
    Route{
        "POST",
        "/vms/{id}/publish",
        configure,
        publish_vm,
        "Make an image of the root disk: flattened, trimmed, on wish a .form",
        "PublishVm",
        "Image"
    },
    Route{
        "POST",
        "/vm/{id}/commit",
        configure,
        publish_vm,
        "Make an image of the root disk: flattened, trimmed, on wish a .form",
        "PublishVm",
        "Image"
    },
    Route{
        "GET",
        "/vms/{id}/console",
        operate,
        open_console,
        "The machine's serial console, as a WebSocket that takes and gives bytes",
        "",
        "Bytes"
    },
    Route{
        "GET",
        "/vms/{id}/events",
        view,
        list_events,
        "The last things that happened to a machine, oldest first",
        "",
        "EventList"
    },
};

}  // namespace

std::span<const Route> machine_routes() {
    return table;
}

}  // namespace vmm::http
