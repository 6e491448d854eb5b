#include "vmm/app/fleet.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/formfile.h"
#include "vmm/domain/names.h"

#include <algorithm>

namespace vmm::app {
namespace {

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

Result<domain::Vm> Fleet::shaped(const domain::Caller& caller, const CreateVm& wanted) const {
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
    TRY(const auto image, world_.images.find(image_name));

    domain::Vm vm;
    vm.id = new_id("vm");
    vm.name = wanted.name;
    vm.owner = caller.address;
    vm.status = domain::Status::creating;
    vm.desired_power = wanted.start ? domain::Power::on : domain::Power::off;
    vm.vcpus = wanted.vcpus.value_or(formfile.vcpus.value_or(image.vcpus.value_or(settings.default_vcpus)));
    vm.memory_mib = wanted.memory_mib.value_or(
        formfile.memory_mib.value_or(image.memory_mib.value_or(settings.default_memory_mib))
    );
    vm.disk_gib = wanted.disk_gib.value_or(formfile.disk_gib.value_or(settings.default_disk_gib));
    vm.image = image_name;
    vm.node = settings.node;
    vm.formfile = wanted.formfile;
    vm.labels = wanted.labels;
    vm.created_at = vm.updated_at = now();
    vm.build_id = build_id(world_.signatures, vm.owner, vm.name);
    vm.instance_id = instance_id(vm.build_id, settings.node_id);

    auto capacity = world_.host.capacity();
    capacity.disk_available_mib = world_.images.available_mib();
    CHECK(domain::check_shape({vm.vcpus, vm.memory_mib, vm.disk_gib}, capacity));
    CHECK(domain::check_room(machines_.size(), settings.max_vms, capacity));
    if (wanted.start) {
        CHECK(domain::check_memory(vm.memory_mib, memory_given(vm.id), capacity));
    }
    return vm;
}

Task<Begun> Fleet::create(domain::Caller caller, CreateVm wanted, Ticket ticket) {
    CO_TRY(auto recalled, co_await recall(ticket));
    if (recalled) {
        co_return *std::move(recalled);
    }
    forget_removed();
    CO_TRY(auto vm, shaped(caller, wanted));
    domain::Operation operation;
    operation.id = new_id("op");
    operation.kind = domain::Job::create;
    operation.target = vm.id;
    operation.status = domain::Progress::running;
    operation.requested_by = caller.address;
    operation.created_at = operation.updated_at = vm.created_at;
    operation.start = wanted.start;
    operation.idempotency_key = ticket.idempotency_key;
    Begun begun{operation.id, vm.id, {}, false};

    const auto machine = std::make_shared<Machine>(world_, std::move(vm), 0);
    // Known from now on, so that two creates at once cannot both be the last that max_vms allows.
    machines_.emplace(begun.vm, machine);
    auto created = co_await machine->create(std::move(operation), ticket);
    if (!created) {
        machines_.erase(begun.vm);
        auto error = std::move(created).error();
        if (error.slug() == "store-conflict" && error.field() == ticket.idempotency_key) {
            CO_TRY(auto first, co_await recall(ticket));
            if (first) {
                co_return *std::move(first);
            }
        }
        if (error.slug() == "store-conflict" && error.field() == ticket.replay_key) {
            co_return fail(
                Error{Code::conflict, "this signed request was used before"}.with_slug("replayed-request")
            );
        }
        co_return fail(std::move(error));
    }
    co_return begun;
}

}  // namespace vmm::app
