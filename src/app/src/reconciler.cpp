#include "vmm/app/fleet.h"
#include "vmm/records/records.h"

#include <spdlog/spdlog.h>

#include <set>

#include "keys.h"

namespace vmm::app {
namespace {

constexpr std::size_t page = 500;
constexpr auto recovery_limit = std::chrono::seconds{60};

}  // namespace

Task<void> Fleet::read_machines() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await world_.store.list(std::string{keys::vms}, after, page));
        for (const auto& record : records) {
            CO_TRY(auto vm, records::read_vm(record.value));
            world_.registry.put(vm);
            const auto id = vm.id;
            machines_.emplace(id, std::make_shared<Machine>(world_, std::move(vm), record.revision));
        }
        if (records.size() < page) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

Task<void> Fleet::read_volumes() {
    std::string after;
    while (true) {
        CO_TRY(const auto records, co_await world_.store.list(std::string{keys::volumes}, after, page));
        for (const auto& record : records) {
            CO_TRY(auto volume, records::read_volume(record.value));
            world_.volumes.insert_or_assign(volume.id, std::move(volume));
        }
        if (records.size() < page) {
            co_return Result<void>{};
        }
        after = records.back().key;
    }
}

Task<void> Fleet::load() {
    CO_CHECK(co_await read_volumes());
    CO_CHECK(co_await read_machines());
    std::map<std::string, domain::Operation> open;
    for (auto& operation : world_.operations.open()) {
        open.insert_or_assign(operation.target, std::move(operation));
    }
    // What the host has, seen once for all machines.
    CO_TRY(const auto found, co_await world_.hypervisor.found());
    const std::set<std::string> present{found.begin(), found.end()};

    Group recoveries{co_await asio::this_coro::executor};
    for (const auto& [id, machine] : machines_) {
        const auto job = open.find(id);
        const bool quiet = !domain::live(machine->vm().status) && !domain::busy(machine->vm().status);
        if (quiet && job == open.end() && !present.contains(id)) {
            continue;
        }
        auto interrupted = job == open.end() ? std::nullopt : std::optional{job->second};
        recoveries.spawn(id + " recover", machine->recover(std::move(interrupted)));
    }
    if (!co_await recoveries.drained(recovery_limit)) {
        spdlog::warn(
            "some machines do not answer; they are taken over when they do waiting={}", recoveries.running()
        );
    }
    co_await sweep();
    co_return Result<void>{};
}

// Removes from the host what belongs to no machine.
asio::awaitable<void> Fleet::sweep() {
    const auto found = co_await world_.hypervisor.found();
    for (const auto& id : found.value_or(std::vector<std::string>{})) {
        if (!machines_.contains(id)) {
            spdlog::warn("removing what is left of a machine that is not on record vm={}", id);
            (void)co_await world_.hypervisor.clear(id, ports::Hypervisor::Remains::nothing);
        }
    }
    std::set<std::string> known;
    for (const auto& [id, machine] : machines_) {
        known.insert(id);
        for (const auto& volume : machine->vm().volumes) {
            known.insert(volume.id);
        }
    }
    for (const auto& [id, volume] : world_.volumes) {
        known.insert(id);
    }
    const auto disks = world_.disks.all();
    for (const auto& id : disks.value_or(std::vector<std::string>{})) {
        if (!known.contains(id)) {
            spdlog::warn("removing the disk of a machine or volume that is not on record id={}", id);
            (void)world_.disks.remove(id);
        }
    }
}

}  // namespace vmm::app
