#include "vmm/app/machine.h"
#include "vmm/app/networks.h"
#include "vmm/base/fault.h"

#include <spdlog/spdlog.h>

#include <algorithm>

// What networks know of a machine.
namespace vmm::app {
namespace {

using domain::Interface;
using domain::PublishedPort;

Machine::Mutation without_port(const PublishedPort& port) {
    return [port](domain::Vm& vm) { std::erase(vm.ports, port); };
}

Machine::Mutation without_interface(const std::string& id) {
    return [id](domain::Vm& vm) {
        std::erase_if(vm.interfaces, [&id](const Interface& one) { return one.id == id; });
    };
}

}  // namespace

Task<void>
Machine::amend_network(Mutation apply, Ticket ticket, std::optional<std::int64_t> expected_revision) {
    if (held()) {
        co_return fail(Error{
            Code::conflict, "the machine is " + std::string{name(vm_.status)} + ": another operation holds it"
        }
                           .with_slug("machine-busy"));
    }
    ports::Transaction transaction;
    ticket.add_to(transaction, "", vm_.id);
    fault_point("network-change.before-intent");
    CO_CHECK(co_await amend(std::move(apply), std::move(transaction), expected_revision));
    fault_point("network-change.after-intent");
    co_return Result<void>{};
}

asio::awaitable<void> Machine::take_back(Mutation undo) {
    ports::Transaction nothing_else;
    co_await record_fact(std::move(undo), std::move(nothing_else));
    (void)co_await world_.networks->refresh();
}

Task<void> Machine::set_firewall(
    domain::Firewall firewall,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    const auto self = shared_from_this();
    const auto before = vm_.firewall;
    Mutation set = [firewall](domain::Vm& vm) { vm.firewall = firewall; };
    CO_CHECK(co_await amend_network(std::move(set), std::move(ticket), expected_revision));
    auto applied = co_await world_.networks->refresh();
    if (!applied) {
        Mutation undo = [before](domain::Vm& vm) { vm.firewall = before; };
        co_await take_back(std::move(undo));
    }
    co_return applied;
}

Task<void>
Machine::publish(PublishedPort port, Ticket ticket, std::optional<std::int64_t> expected_revision) {
    const auto self = shared_from_this();
    CO_CHECK(world_.networks->reserve(vm_, port));
    Mutation add = [port](domain::Vm& vm) { vm.ports.push_back(port); };
    auto done = co_await amend_network(std::move(add), std::move(ticket), expected_revision);
    if (!done) {
        world_.networks->release(port);
        co_return done;
    }
    if (world_.networks->routed(vm_)) {
        done = co_await world_.networks->refresh();
    } else if (instance_) {
        done = co_await instance_->publish(vm_.interfaces.front().id, port);
    }
    if (!done) {
        world_.networks->release(port);
        co_await take_back(without_port(port));
    }
    co_return done;
}

Task<void>
Machine::unpublish(PublishedPort port, Ticket ticket, std::optional<std::int64_t> expected_revision) {
    const auto self = shared_from_this();
    CO_CHECK(co_await amend_network(without_port(port), std::move(ticket), expected_revision));
    Result<void> done;
    if (world_.networks->routed(vm_)) {
        done = co_await world_.networks->refresh();
        world_.networks->release(port);
    } else if (instance_) {
        done = co_await instance_->unpublish(vm_.interfaces.front().id, port);
    }
    co_return done;
}

Task<void> Machine::plug(Interface interface, Ticket ticket, std::optional<std::int64_t> expected_revision) {
    const auto self = shared_from_this();
    Mutation add = [interface](domain::Vm& vm) { vm.interfaces.push_back(interface); };
    CO_CHECK(co_await amend_network(std::move(add), std::move(ticket), expected_revision));
    if (!instance_) {
        co_return Result<void>{};
    }
    world_.networks->join(vm_.id);
    auto done = co_await world_.networks->refresh();
    if (done) {
        auto nic = co_await world_.networks->connect(vm_, interface);
        if (!nic) {
            done = std::unexpected{std::move(nic).error()};
        } else if (instance_) {
            done = co_await instance_->plug(*std::move(nic));
        }
    }
    fault_point("interface.plugged");
    if (!done) {
        co_await take_back(without_interface(interface.id));
    }
    co_return done;
}

Task<void>
Machine::unplug(std::string interface, Ticket ticket, std::optional<std::int64_t> expected_revision) {
    const auto self = shared_from_this();
    if (held() || (expected_revision && *expected_revision != vm_.revision)) {
        Mutation nothing = [](domain::Vm&) {};
        co_return co_await amend_network(std::move(nothing), std::move(ticket), expected_revision);
    }
    // Out of the guest before it is out of the record: the rules stay for as long as it can send.
    if (instance_) {
        CO_CHECK(co_await instance_->unplug(interface));
    }
    fault_point("interface.unplugged");
    CO_CHECK(co_await amend_network(without_interface(interface), std::move(ticket), std::nullopt));
    co_return co_await world_.networks->refresh();
}

Task<void> Machine::limit(Interface interface, Ticket ticket, std::optional<std::int64_t> expected_revision) {
    const auto self = shared_from_this();
    Mutation set = [interface](domain::Vm& vm) {
        for (auto& one : vm.interfaces) {
            if (one.id == interface.id) {
                one = interface;
            }
        }
    };
    CO_CHECK(co_await amend_network(std::move(set), std::move(ticket), expected_revision));
    co_return co_await world_.networks->refresh();
}

// Ends what runs on the host for the machine and takes it out of its networks.
Task<void> Machine::clear(ports::Hypervisor::Remains remains) {
    auto cleared = co_await world_.hypervisor.clear(vm_.id, remains);
    world_.networks->leave(vm_.id);
    std::error_code ignored;
    std::filesystem::remove(seed_file(), ignored);
    co_return cleared;
}

// Of a machine that ran on while the service was away: what its record has and it has not is plugged in, and
// its networks learn that it runs.
asio::awaitable<void> Machine::recover_nics() {
    const auto self = shared_from_this();
    world_.networks->join(vm_.id);
    for (const auto& interface : std::vector<Interface>{vm_.interfaces}) {
        if (!instance_ || interface.network == domain::user_network) {
            continue;
        }
        const auto there = co_await instance_->has_nic(interface.id);
        if (!there || *there) {
            continue;
        }
        (void)co_await world_.networks->refresh();
        auto nic = co_await world_.networks->connect(vm_, interface);
        Result<void> plugged;
        if (nic && instance_) {
            plugged = co_await instance_->plug(*std::move(nic));
        }
        if (!nic || !plugged) {
            spdlog::warn(
                "an interface is missing until the next start vm={} interface={}", vm_.id, interface.id
            );
        }
    }
}

}  // namespace vmm::app
