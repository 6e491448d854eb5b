#include <array>

#include "handlers.h"
#include "routes.h"

// Networks, and machines' places in them.
namespace vmm::http {
namespace {

using domain::Action;

constexpr Access signer = Access::signer();
constexpr Access administrator = Access::administrator();
constexpr Access view = Access::on_machine(Action::view);
constexpr Access configure = Access::on_machine(Action::configure);

constexpr std::array table{
    Route{"GET", "/networks", signer, list_networks, "The host's networks", "", "NetworkList"},
    Route{
        "POST",
        "/networks",
        administrator,
        create_network,
        "Make a network: bridge (with NAT), isolated, or lan on a bridge of the host's",
        "CreateNetwork",
        "Network"
    },
    Route{"GET", "/networks/{network}", signer, show_network, "One network", "", "Network"},
    Route{
        "DELETE",
        "/networks/{network}",
        administrator,
        delete_network,
        "Remove a network that no machine is in",
        "Nothing",
        ""
    },
    Route{
        "GET",
        "/vms/{id}/interfaces",
        view,
        list_interfaces,
        "A machine's interfaces, with the addresses that are theirs for life",
        "",
        "InterfaceList"
    },
    Route{
        "POST",
        "/vms/{id}/interfaces",
        configure,
        add_interface,
        "Attach a machine to one more network; at once when it runs",
        "InterfaceWish",
        "Interface"
    },
    Route{
        "PATCH",
        "/vms/{id}/interfaces/{interface}",
        configure,
        update_interface,
        "Limit an interface's bandwidth",
        "UpdateInterface",
        "Interface"
    },
    Route{
        "DELETE",
        "/vms/{id}/interfaces/{interface}",
        configure,
        remove_interface,
        "Take a machine out of a network",
        "Nothing",
        ""
    },
    Route{"GET", "/vms/{id}/firewall", view, show_firewall, "A machine's own rules", "", "Firewall"},
    Route{
        "PUT",
        "/vms/{id}/firewall",
        configure,
        put_firewall,
        "Replace a machine's own rules; the first that fits decides",
        "Firewall",
        "Firewall"
    },
    Route{"GET", "/vms/{id}/ports", view, list_ports, "A machine's published ports", "", "PortList"},
    Route{
        "POST",
        "/vms/{id}/ports",
        configure,
        publish_port,
        "Publish a port of the machine on the host, at once",
        "PublishPort",
        "PublishedPort"
    },
    Route{
        "DELETE",
        "/vms/{id}/ports/{port}",
        configure,
        unpublish_port,
        "Publish a port no more; ?protocol=udp for one of those",
        "Nothing",
        ""
    },
};

}  // namespace

std::span<const Route> network_routes() {
    return table;
}

}  // namespace vmm::http
