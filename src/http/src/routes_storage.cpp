#include <array>

#include "handlers.h"
#include "routes.h"

// Disks, volumes and images.
namespace vmm::http {
namespace {

using domain::Action;

constexpr Access signer = Access::signer();
constexpr Access view = Access::on_machine(Action::view);
constexpr Access configure = Access::on_machine(Action::configure);
constexpr Access see_image = Access::on_image(Action::view);
constexpr Access remove_image = Access::on_image(Action::own);
constexpr Access on_volume = Access::on_volume();

constexpr std::array table{
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
        on_volume,
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
    Route{"GET", "/images/{name}", see_image, show_image, "One image", "", "Image"},
    Route{
        "DELETE",
        "/images/{name}",
        remove_image,
        delete_image,
        "Delete an image that no machine uses, or cancel its import",
        "Nothing",
        ""
    },
    Route{
        "GET",
        "/images/{name}/content",
        see_image,
        download_image,
        "An image's bytes; Range is understood",
        "",
        "Bytes"
    },
};

}  // namespace

std::span<const Route> storage_routes() {
    return table;
}

}  // namespace vmm::http
