#include "vmm/app/fleet.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/names.h"
#include "vmm/records/records.h"

#include <algorithm>

#include "keys.h"
#include "recall.h"

// What callers may do with machines' disks.
namespace vmm::app {
namespace {

using domain::Action;
using domain::Job;

constexpr std::size_t most_volumes = 64;  // of one machine

domain::DiskWish wish_of(std::uint32_t size_gib, const domain::DiskTuning& tuning) {
    return {size_gib, tuning.iops.value_or(0), tuning.throughput_mbps.value_or(0), tuning.cache};
}

domain::Operation
operation_of(Job kind, const domain::Caller& caller, const std::string& vm, const Ticket& ticket) {
    domain::Operation operation;
    operation.id = new_id("op");
    operation.kind = kind;
    operation.target = vm;
    operation.status = domain::Progress::running;
    operation.requested_by = caller.address;
    operation.created_at = operation.updated_at = now();
    operation.idempotency_key = ticket.idempotency_key;
    return operation;
}

Result<std::uint32_t> size_of(const domain::Vm& vm, const std::string& disk) {
    if (disk == "root") {
        return vm.disk_gib;
    }
    const auto volume = std::ranges::find(vm.volumes, disk, &domain::Volume::id);
    if (volume == vm.volumes.end()) {
        return fail(Code::not_found, "the machine has no disk " + quote(disk));
    }
    return volume->size_gib;
}

}  // namespace

Task<Begun> Fleet::begin_change(
    std::shared_ptr<Machine> machine,
    domain::Operation operation,
    Machine::Mutation intend,
    ports::Transaction intent,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    const auto id = machine->vm().id;
    auto begun = co_await machine->reconfigure(
        std::move(operation), std::move(intend), std::move(intent), ticket, expected_revision
    );
    if (!begun) {
        auto error = std::move(begun).error();
        if (key_was_taken(error, ticket)) {
            CO_TRY(auto first, co_await recall(world_, ticket));
            if (first) {
                co_return *std::move(first);
            }
        }
        co_return fail(explained(std::move(error), ticket));
    }
    co_return Begun{*std::move(begun), id, {}, false};
}

Task<Begun> Fleet::attach(
    domain::Caller caller,
    std::string id,
    AttachDisk wanted,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(auto recalled, co_await recall(world_, ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    if (machine->vm().volumes.size() >= most_volumes) {
        co_return fail(
            Code::conflict, "the machine has " + std::to_string(most_volumes) + " volumes, which is the most"
        );
    }
    CO_CHECK(domain::check_display_name(wanted.name));
    auto operation = operation_of(Job::attach, caller, id, ticket);
    domain::Volume volume;
    ports::Transaction intent;
    if (wanted.volume.empty()) {
        CO_CHECK(domain::check_disk(wish_of(wanted.size_gib, wanted.tuning)));
        const auto owner = machine->vm().owner;
        CO_CHECK(check_disk_quota(owner, 0));
        volume = {new_id("vol"), wanted.name, owner, wanted.size_gib, wanted.tuning, now()};
        operation.size_gib = wanted.size_gib;
    } else {
        const auto found = world_.volumes.find(wanted.volume);
        // Whoever may change the machine may attach what belongs to the machine's team.
        const auto& owner = machine->vm().owner;
        const bool visible =
            found != world_.volumes.end() && (world_.permissions.acts_for(caller, found->second.owner) ||
                                              (!owner.team().empty() && found->second.owner == owner));
        if (!visible) {
            co_return fail(
                Error{Code::invalid, "there is no volume " + quote(wanted.volume) + " that could be attached"}
                    .with_slug("unknown-volume")
                    .with_field("volume")
                    .with_hint("GET /volumes lists those that are attached to no machine")
            );
        }
        volume = found->second;
        if (volume.owner != machine->vm().owner) {
            co_return fail(Error{Code::invalid, "the volume belongs to somebody else than the machine"}
                               .with_field("volume"));
        }
        CO_CHECK(domain::check_disk(wish_of(volume.size_gib, wanted.tuning)));
        volume.tuning.iops = wanted.tuning.iops ? wanted.tuning.iops : volume.tuning.iops;
        volume.tuning.throughput_mbps =
            wanted.tuning.throughput_mbps ? wanted.tuning.throughput_mbps : volume.tuning.throughput_mbps;
        volume.tuning.cache = wanted.tuning.cache.empty() ? volume.tuning.cache : wanted.tuning.cache;
        intent.removes.push_back(keys::volume(volume.id));
        // Nobody else gets it meanwhile; it comes back when this one is refused.
        world_.volumes.erase(found);
    }
    operation.disk = volume.id;
    Machine::Mutation intend = [volume](domain::Vm& vm) { vm.volumes.push_back(volume); };
    auto begun = co_await begin_change(
        machine, std::move(operation), std::move(intend), std::move(intent), ticket, expected_revision
    );
    if (!begun && !wanted.volume.empty()) {
        world_.volumes.insert_or_assign(volume.id, volume);
    }
    co_return begun;
}

Task<Begun> Fleet::detach(
    domain::Caller caller,
    std::string id,
    std::string disk,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(auto recalled, co_await recall(world_, ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    if (disk == "root") {
        co_return fail(Error{Code::conflict, "the root disk goes with its machine"}.with_slug("root-disk"));
    }
    CO_CHECK(size_of(machine->vm(), disk));
    auto operation = operation_of(Job::detach, caller, id, ticket);
    operation.disk = disk;
    Machine::Mutation nothing = [](domain::Vm&) {};
    ports::Transaction no_more;
    co_return co_await begin_change(
        machine, std::move(operation), std::move(nothing), std::move(no_more), ticket, expected_revision
    );
}

Task<Begun> Fleet::grow(
    domain::Caller caller,
    std::string id,
    std::string disk,
    std::uint32_t size_gib,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(auto recalled, co_await recall(world_, ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    CO_TRY(const auto has, size_of(machine->vm(), disk));
    const auto* field = disk == "root" ? "disk_gib" : "size_gib";
    if (size_gib < has || size_gib > 65535) {
        co_return invalid(
            field,
            size_gib < has ? "a disk cannot shrink: it has " + std::to_string(has) + " GiB, " +
                                 std::to_string(size_gib) + " are wanted"
                           : std::to_string(size_gib) + " is more than 65535"
        );
    }
    auto operation = operation_of(Job::grow, caller, id, ticket);
    operation.disk = disk;
    operation.size_gib = size_gib;
    Machine::Mutation nothing = [](domain::Vm&) {};
    ports::Transaction no_more;
    co_return co_await begin_change(
        machine, std::move(operation), std::move(nothing), std::move(no_more), ticket, expected_revision
    );
}

Task<void> Fleet::tune(
    domain::Caller caller,
    std::string id,
    std::string disk,
    domain::DiskTuning tuning,
    Ticket ticket,
    std::optional<std::int64_t> expected_revision
) {
    CO_TRY(const auto machine, find(caller, Action::configure, id));
    CO_CHECK(size_of(machine->vm(), disk));
    CO_CHECK(domain::check_disk(wish_of(1, tuning)));
    auto done = co_await machine->tune(std::move(disk), std::move(tuning), ticket, expected_revision);
    if (!done) {
        co_return fail(explained(std::move(done).error(), ticket));
    }
    co_return done;
}

bool Fleet::sees_volume(const domain::Caller& caller, const domain::Volume& volume) const {
    return world_.permissions.acts_for(caller, volume.owner) ||
           world_.permissions.member(caller, volume.owner);
}

Task<std::vector<domain::Volume>> Fleet::volumes(domain::Caller caller) {
    std::vector<domain::Volume> out;
    for (const auto& [id, volume] : world_.volumes) {
        if (sees_volume(caller, volume)) {
            out.push_back(volume);
        }
    }
    co_return out;
}

Task<void> Fleet::remove_volume(domain::Caller caller, std::string id, Ticket ticket) {
    for (const auto& [vm, machine] : machines_) {
        if (machine->removed()) {
            continue;
        }
        const auto& volumes = machine->vm().volumes;
        if (world_.permissions.may(caller, Action::view, machine->vm()) &&
            std::ranges::find(volumes, id, &domain::Volume::id) != volumes.end()) {
            co_return fail(
                Error{Code::conflict, "the volume is attached to the machine " + quote(machine->vm().name)}
                    .with_slug("volume-attached")
                    .with_hint("detach it first")
            );
        }
    }
    const auto found = world_.volumes.find(id);
    if (found == world_.volumes.end() || !sees_volume(caller, found->second)) {
        co_return fail(Code::not_found, "there is no volume " + quote(id) + ", or it is not visible to you");
    }
    if (!world_.permissions.acts_for(caller, found->second.owner)) {
        co_return fail(Code::forbidden, "this needs the role Owner in the team that owns the volume");
    }
    // Out of reach before the store is asked, so that nobody attaches it meanwhile.
    auto volume = std::move(found->second);
    world_.volumes.erase(found);
    ports::Transaction transaction;
    transaction.removes.push_back(keys::volume(id));
    ticket.add_to(transaction, "", id);
    auto stored = co_await world_.store.commit(std::move(transaction));
    if (!stored) {
        world_.volumes.insert_or_assign(id, std::move(volume));
        co_return fail(explained(std::move(stored).error(), ticket));
    }
    // From here on the data belongs to nobody; what is left of it is swept at the next start.
    co_return world_.disks.remove(id);
}

Task<void> Fleet::copy_root(std::string vm, std::filesystem::path overlay) {
    const auto source = machines_.find(vm);
    if (source == machines_.end() || source->second->removed()) {
        co_return fail(
            Error{Code::conflict, "the machine whose disk is wanted is gone"}.with_slug("source-gone")
        );
    }
    const auto machine = source->second;
    co_return co_await machine->copy_root(std::move(overlay));
}

}  // namespace vmm::app
