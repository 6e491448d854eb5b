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
        "/vms/{id}/events",
        view,
        list_events,
        "The last things that happened to a machine, oldest first",
        "",
        "EventList"
    },
    Route{
        "GET",
        "/vms/{id}/disks",
        view,
        list_disks,
        "A machine's disks, the root disk first",
        "",
        "DiskList"
    },
    Route{
        "POST",
        "/vms/{id}/disks",
        configure,
        add_disk,
        "Attach a new volume (size_gib), or an existing one (volume); at once when the machine runs",
        "AddDisk",
        "Disk"
    },
    Route{
        "POST",
        "/vm/{id}/add_disk",
        configure,
        add_disk,
        "Attach a new volume (size_gib), or an existing one (volume); at once when the machine runs",
        "AddDisk",
        "Disk"
    },
    Route{
        "PATCH",
        "/vms/{id}/disks/{disk}",
        configure,
        update_disk,
        "Make a disk larger, or change its limits; root is the root disk",
        "UpdateDisk",
        "Disk"
    },
    Route{
        "DELETE",
        "/vms/{id}/disks/{disk}",
        configure,
        remove_disk,
        "Detach a volume; its data stays until the volume is deleted",
        "Nothing",
        ""
    },
    Route{
        "POST",
        "/vm/{id}/remove_device",
        configure,
        remove_device,
        "Detach a volume; its data stays until the volume is deleted",
        "RemoveDevice",
        ""
    },
    Route{
        "GET",
        "/volumes",
        signer,
        list_volumes,
        "Your volumes that are attached to no machine",
        "",
        "VolumeList"
    },
    Route{
        "DELETE",
        "/volumes/{volume}",
        signer,
        delete_volume,
        "Delete a volume that is attached to no machine, with its data",
        "Nothing",
        ""
    },
    Route{"GET", "/images", signer, list_images, "The images that you may use, by name", "", "ImageList"},
    Route{
        "POST",
        "/images",
        signer,
        bring_image,
        "Upload an image's bytes (?name=), or import one from a url or a path of the host",
        "ImportImage",
        "Image",
        true
    },
    Route{"GET", "/images/{name}", signer, show_image, "One image", "", "Image"},
    Route{
        "DELETE",
        "/images/{name}",
        signer,
        delete_image,
        "Delete an image that no machine uses, or cancel its import",
        "Nothing",
        ""
    },
    Route{
        "GET",
        "/images/{name}/content",
        signer,
        download_image,
        "An image's bytes; Range is understood",
        "",
        "Bytes"
    },
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
