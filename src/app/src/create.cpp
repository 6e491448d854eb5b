#include "vmm/app/fleet.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/formfile.h"
#include "vmm/domain/names.h"

#include <algorithm>

#include "recall.h"

namespace vmm::app {
namespace {

constexpr std::uint64_t least_disk_bytes = 256 << 10;  // that a disk takes before anybody writes to it

// The platform's id of a build: SHA3-256 of the owner's 20 bytes and the name.
std::string
build_id(const ports::Signatures& signatures, const domain::Address& owner, const std::string& name) {
    std::string text{reinterpret_cast<const char*>(owner.bytes().data()), owner.bytes().size()};
    return to_hex(signatures.sha3_256(text.append(name)));
}

// The platform's id of an instance: the first 20 bytes of the build id, each combined with the node's.
std::string instance_id(const std::string& build, const domain::Address::Bytes& node) {
    auto bytes = *from_hex(build.substr(0, 40));
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] ^= node[i];
    }
    return to_hex(bytes);
}

}  // namespace

Result<domain::Vm>
Fleet::shaped(const domain::Caller& caller, const domain::Caller* for_image, const CreateVm& wanted) const {
    const auto& settings = world_.settings;
    CHECK(domain::check_vm_name(wanted.name));
    CHECK(domain::check_labels(wanted.labels));
    TRY(const auto formfile, domain::parse_formfile(wanted.formfile));
    const auto image_name = wanted.image.empty() ? settings.default_image : wanted.image;
    if (image_name.empty()) {
        return fail(
            Error{Code::invalid, "is required, because the service has no default_image"}.with_field("image")
        );
    }
    TRY(const auto image, world_.bootable(for_image, image_name));

    domain::Vm vm;
    vm.id = new_id("vm");
    vm.name = wanted.name;
    vm.owner = wanted.team.empty() ? domain::Owner{caller.address} : domain::Owner::of_team(wanted.team);
    vm.status = domain::Status::creating;
    vm.desired_power = wanted.start ? domain::Power::on : domain::Power::off;
    vm.vcpus = wanted.vcpus.value_or(formfile.vcpus.value_or(image.vcpus.value_or(settings.default_vcpus)));
    vm.memory_mib = wanted.memory_mib.value_or(
        formfile.memory_mib.value_or(image.memory_mib.value_or(settings.default_memory_mib))
    );
    vm.disk_gib = wanted.disk_gib.value_or(
        formfile.disk_gib.value_or(std::max(settings.default_disk_gib, image.minimum_disk_gib.value_or(1)))
    );
    if (vm.disk_gib < image.minimum_disk_gib.value_or(1)) {
        return invalid(
            "disk_gib", "the image needs " + std::to_string(*image.minimum_disk_gib) + " GiB at least"
        );
    }
    vm.image = image_name;
    vm.node = settings.node;
    vm.formfile = wanted.formfile;
    vm.labels = wanted.labels;
    vm.created_at = vm.updated_at = now();
    // Of whoever made it, so that it stays when the machine changes hands.
    vm.build_id = build_id(world_.signatures, caller.address, vm.name);
    vm.instance_id = instance_id(vm.build_id, settings.node_id);

    auto capacity = world_.host.capacity();
    capacity.disk_available_mib = world_.disks.available_mib();
    CHECK(domain::check_shape({vm.vcpus, vm.memory_mib, vm.disk_gib}, capacity));
    CHECK(domain::check_room(machines_.size(), settings.max_vms, capacity));
    CHECK(check_owner(caller, vm));
    if (wanted.start) {
        CHECK(domain::check_memory(vm.memory_mib, memory_given(vm.id), capacity));
    }
    return vm;
}

// Whether the caller may make this machine for its owner, and the owner may have it.
Result<void> Fleet::check_owner(const domain::Caller& caller, const domain::Vm& vm) const {
    if (const auto& team = vm.owner.team(); !team.empty()) {
        auto member = teams_.check(caller, domain::TeamAction::create, team);
        if (!member) {
            const bool hidden = member.error().code() == Code::not_found;
            return fail(Error{hidden ? Code::invalid : member.error().code(), member.error().message()}
                            .with_field("team"));
        }
    }
    domain::Usage one;
    one.machines = 1;
    one.vcpus = vm.vcpus;
    one.memory_mib = vm.memory_mib;
    one.disk_bytes = least_disk_bytes;
    return world_.check_quota(vm.owner, one);
}

Result<void> Fleet::check_disk_quota(const domain::Owner& owner, std::uint64_t wanted) const {
    domain::Usage more;
    more.disk_bytes = wanted + least_disk_bytes;
    return world_.check_quota(owner, more);
}

Task<Begun> Fleet::create(domain::Caller caller, CreateVm wanted, Ticket ticket) {
    CO_TRY(auto recalled, co_await recall(world_, ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    forget_removed();
    CO_TRY(auto vm, shaped(caller, &caller, wanted));
    domain::Operation operation;
    operation.kind = domain::Job::create;
    operation.requested_by = caller.address;
    operation.start = wanted.start;
    co_return co_await begin_making(
        std::make_shared<Machine>(world_, std::move(vm), 0), std::move(operation), ticket
    );
}

Task<Begun> Fleet::clone(domain::Caller caller, std::string id, CloneVm wanted, Ticket ticket) {
    CO_TRY(auto recalled, co_await recall(world_, ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    CO_TRY(const auto source, find(caller, domain::Action::configure, id));
    if (source->held()) {
        co_return fail(Error{
            Code::conflict, "the machine is busy: the operation " + source->vm().operation + " holds it"
        }
                           .with_slug("machine-busy"));
    }
    forget_removed();
    CreateVm order;
    order.name = wanted.name;
    order.image = source->vm().image;
    order.vcpus = source->vm().vcpus;
    order.memory_mib = source->vm().memory_mib;
    order.disk_gib = source->vm().disk_gib;
    order.labels = wanted.labels;
    order.start = wanted.start;
    order.team = wanted.team;
    // The image may be one that the caller could not choose; having the machine is enough.
    CO_TRY(auto vm, shaped(caller, nullptr, order));
    vm.formfile = source->vm().formfile;
    vm.root_tuning = source->vm().root_tuning;
    CO_CHECK(check_disk_quota(vm.owner, world_.disks.real_bytes(id)));
    domain::Operation operation;
    operation.kind = domain::Job::clone;
    operation.requested_by = caller.address;
    operation.start = wanted.start;
    operation.source = id;
    co_return co_await begin_making(
        std::make_shared<Machine>(world_, std::move(vm), 0), std::move(operation), ticket
    );
}

// What create and clone share: the machine is known, its record and operation stored, its making begun.
Task<Begun>
Fleet::begin_making(std::shared_ptr<Machine> machine, domain::Operation operation, Ticket ticket) {
    const auto& vm = machine->vm();
    operation.id = new_id("op");
    operation.target = vm.id;
    operation.status = domain::Progress::running;
    operation.created_at = operation.updated_at = vm.created_at;
    operation.idempotency_key = ticket.idempotency_key;
    Begun begun{operation.id, vm.id, {}, false};
    // Known from now on, so that two creates at once cannot both be the last that max_vms allows.
    machines_.emplace(begun.vm, machine);
    auto created = co_await machine->create(std::move(operation), ticket);
    if (!created) {
        machines_.erase(begun.vm);
        auto error = std::move(created).error();
        if (error.slug() == "store-conflict" && key_was_taken(error, ticket)) {
            CO_TRY(auto first, co_await recall(world_, ticket));
            if (first) {
                co_return *std::move(first);
            }
        }
        co_return fail(explained(std::move(error), ticket));
    }
    co_return begun;
}

}  // namespace vmm::app
