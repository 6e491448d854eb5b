#include "vmm/app/fleet.h"
#include "vmm/base/text.h"

#include <algorithm>

#include "recall.h"

// What callers may do with machines' places in networks.
namespace vmm::app {
namespace {

using domain::Action;
using domain::Interface;

std::unexpected<Error> no_interface(const std::string& id) {
    return fail(Code::not_found, "the machine has no interface " + quote(id));
}

}  // namespace

Task<void> Fleet::set_firewall(
    domain::Caller caller,
    std::string id,
    domain::Firewall firewall,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    if (!world_.networks->routed(machine->vm())) {
        co_return fail(Error{
            Code::conflict,
            "rules apply in networks of kind bridge and isolated; this machine's first interface is in none"
        }
                           .with_slug("no-firewall"));
    }
    auto set = co_await machine->set_firewall(std::move(firewall), ticket, expected_revision);
    co_return set ? Result<void>{} : fail(explained(std::move(set).error(), ticket));
}

Task<void> Fleet::publish_port(
    domain::Caller caller,
    std::string id,
    domain::PublishedPort port,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    const auto& vm = machine->vm();
    CO_CHECK(check_publish(vm, port));
    auto published = co_await machine->publish(std::move(port), ticket, expected_revision);
    co_return published ? Result<void>{} : fail(explained(std::move(published).error(), ticket));
}

Result<void> Fleet::check_publish(const domain::Vm& vm, const domain::PublishedPort& port) const {
    if (vm.interfaces.empty()) {
        return fail(Error{Code::conflict, "the machine has no interface"}.with_slug("no-interface"));
    }
    if (!world_.networks->routed(vm) && vm.interfaces.front().network != domain::user_network) {
        return fail(Error{Code::conflict, "a machine in a lan is reached at its own address there"}.with_slug(
            "no-publishing"
        ));
    }
    if (vm.ports.size() >= domain::most_published) {
        return fail(
            Code::conflict,
            "the machine has " + std::to_string(domain::most_published) + " published ports, the most"
        );
    }
    for (const auto& [id, other] : machines_) {
        for (const auto& taken : other->vm().ports) {
            const bool anywhere = taken.host_address == "0.0.0.0" || port.host_address == "0.0.0.0" ||
                                  taken.host_address == port.host_address;
            if (!other->removed() && taken.protocol == port.protocol && taken.host_port == port.host_port &&
                anywhere) {
                return fail(Error{
                    Code::conflict,
                    "the host's " + port.protocol + " port " + std::to_string(port.host_port) +
                        (id == vm.id ? " is published for this machine already"
                                     : " is published for a machine already")
                }
                                .with_slug("port-taken")
                                .with_field("host_port"));
            }
        }
    }
    return {};
}

Task<void> Fleet::unpublish_port(
    domain::Caller caller,
    std::string id,
    domain::PublishedPort port,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    const auto& ports = machine->vm().ports;
    const auto found = std::ranges::find_if(ports, [&port](const domain::PublishedPort& one) {
        return one.protocol == port.protocol && one.host_port == port.host_port;
    });
    if (found == ports.end()) {
        co_return fail(
            Code::not_found,
            "the machine has no published " + port.protocol + " port " + std::to_string(port.host_port)
        );
    }
    auto ended = co_await machine->unpublish(*found, ticket, expected_revision);
    co_return ended ? Result<void>{} : fail(explained(std::move(ended).error(), ticket));
}

Task<Interface> Fleet::plug(
    domain::Caller caller,
    std::string id,
    InterfaceWish wish,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    CO_TRY(const auto interface, world_.networks->place(machine->vm(), wish));
    auto plugged = co_await machine->plug(interface, ticket, expected_revision);
    if (!plugged) {
        co_return fail(explained(std::move(plugged).error(), ticket));
    }
    co_return interface;
}

Task<void> Fleet::unplug(
    domain::Caller caller,
    std::string id,
    std::string interface,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    const auto& all = machine->vm().interfaces;
    if (std::ranges::find(all, interface, &Interface::id) == all.end()) {
        co_return no_interface(interface);
    }
    if (all.front().id == interface && !machine->vm().ports.empty()) {
        co_return fail(
            Error{Code::conflict, "ports are published for this interface"}.with_slug("ports-published")
        );
    }
    auto unplugged = co_await machine->unplug(interface, ticket, expected_revision);
    co_return unplugged ? Result<void>{} : fail(explained(std::move(unplugged).error(), ticket));
}

Task<Interface> Fleet::limit_interface(
    domain::Caller caller,
    std::string id,
    std::string interface,
    std::optional<std::uint32_t> up_mbps,
    std::optional<std::uint32_t> down_mbps,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    const auto& all = machine->vm().interfaces;
    const auto found = std::ranges::find(all, interface, &Interface::id);
    if (found == all.end()) {
        co_return no_interface(interface);
    }
    if (found->network == domain::user_network) {
        co_return fail(Error{Code::conflict, "the user network has no bandwidth limits"}.with_slug("no-limits"
        ));
    }
    auto changed = *found;
    changed.up_mbps = up_mbps.value_or(changed.up_mbps);
    changed.down_mbps = down_mbps.value_or(changed.down_mbps);
    auto limited = co_await machine->limit(changed, ticket, expected_revision);
    if (!limited) {
        co_return fail(explained(std::move(limited).error(), ticket));
    }
    co_return changed;
}

}  // namespace vmm::app
