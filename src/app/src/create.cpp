#include "vmm/app/fleet.h"
#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/domain/admission.h"
#include "vmm/domain/formfile.h"
#include "vmm/domain/names.h"

#include <algorithm>

#include "recall.h"

namespace vmm::app {
namespace {

constexpr std::uint32_t first_exposed_port = 30000;
constexpr std::uint32_t last_exposed_port = 32768;
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

Result<void> check_ssh_keys(std::string_view field, const std::vector<std::string>& keys) {
    if (keys.size() > 64) {
        return invalid(field, "there are at most 64 keys");
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
        const auto& key = keys[i];
        const auto parts = split(key, ' ');
        const bool known = key.starts_with("ssh-") || key.starts_with("ecdsa-") || key.starts_with("sk-");
        if (!known || parts.size() < 2 || parts[1].size() < 16 || key.size() > 16384 ||
            std::ranges::any_of(key, [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
            return invalid(
                std::string{field} + "[" + std::to_string(i) + "]",
                "expected a line such as \"ssh-ed25519 AAAA… comment\", found " + quote(key)
            );
        }
    }
    return {};
}

// What a guest is to be told, and asked to do.
Result<void> Fleet::check_guest(const CreateVm& wanted, const domain::Formfile& formfile) const {
    CHECK(world_.seeds.check_user_data(wanted.user_data));
    CHECK(check_ssh_keys("ssh_keys", wanted.ssh_keys));
    if (!wanted.context.empty()) {
        CHECK(world_.seeds.check_context(wanted.context));
    }
    if (formfile.copies() && wanted.context.empty()) {
        return fail(Error{Code::invalid, "the Formfile copies from a build context, and none was sent"}
                        .with_slug("context-missing")
                        .with_field("context")
                        .with_hint("vmctl create -f Formfile . sends the folder; by HTTP, "
                                   "multipart/form-data with a part \"context\""));
    }
    return {};
}

// Devices of the host for a new machine; a machine that is known keeps its own, whatever its state.
Result<std::vector<domain::Gpu>> Fleet::gpus_for(const CreateVm& wanted, const domain::Formfile& formfile)
    const {
    auto wishes = formfile.gpus;
    for (std::size_t i = 0; i < wanted.gpus.size(); ++i) {
        const auto& wish = wanted.gpus[i];
        if (const auto known = domain::check_gpu(wish.model, wish.count); !known) {
            return invalid("gpus[" + std::to_string(i) + "]", known.error().message());
        }
        wishes.push_back(wish);
    }
    if (wishes.empty()) {
        return std::vector<domain::Gpu>{};
    }
    domain::GpusTaken taken;
    world_.each_machine([&taken](const domain::Vm& vm) {
        for (const auto& gpu : vm.gpus) {
            taken.push_back(gpu.address);
        }
    });
    return domain::choose_gpus(wishes, world_.host.gpus(), taken);
}

// A host port for each that the Formfile exposes: of the same number where it is free.
Result<std::vector<domain::PublishedPort>>
Fleet::exposed(const domain::Vm& vm, const domain::Formfile& formfile) const {
    std::vector<domain::PublishedPort> out;
    auto trial = vm;
    for (const auto& each : formfile.exposes) {
        domain::PublishedPort port;
        port.protocol = each.protocol;
        port.host_address = world_.settings.publish_address;
        port.guest_port = each.port;
        port.host_port = each.port;
        std::uint32_t next = first_exposed_port;
        auto free = check_publish(trial, port);
        if (free) {
            free = world_.networks->claim(trial, port);
        }
        while (!free && free.error().slug() == "port-taken" && next < last_exposed_port) {
            port.host_port = static_cast<std::uint16_t>(next++);
            free = check_publish(trial, port);
            if (free) {
                free = world_.networks->claim(trial, port);
            }
        }
        if (!free) {
            for (const auto& taken : out) {
                world_.networks->release(taken);
            }
            return std::unexpected{std::move(free).error()};
        }
        out.push_back(port);
        trial.ports.push_back(port);
    }
    return out;
}

Result<domain::Vm>
Fleet::shaped(const domain::Caller& caller, const domain::Caller* for_image, const CreateVm& wanted) const {
    const auto& settings = world_.settings;
    CHECK(domain::check_vm_name(wanted.name));
    CHECK(domain::check_labels(wanted.labels));
    TRY(const auto formfile, world_.seeds.read_formfile(wanted.formfile));
    CHECK(check_guest(wanted, formfile));
    auto image_name = wanted.image.empty() ? formfile.from : wanted.image;
    // debian:12 is debian-12.
    std::ranges::replace(image_name, ':', '-');
    image_name = image_name.empty() ? settings.default_image : image_name;
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
    TRY(vm.formfile, world_.seeds.without_passwords(wanted.formfile));
    vm.user_data = wanted.user_data;
    vm.ssh_keys = wanted.ssh_keys;
    vm.labels = wanted.labels;
    vm.created_at = vm.updated_at = now();
    TRY(vm.interfaces, world_.networks->places(vm.id, wanted.networks));
    TRY(vm.gpus, gpus_for(wanted, formfile));
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
    // Last: host ports are taken with it.
    TRY(vm.ports, exposed(vm, formfile));
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
    auto machine = std::make_shared<Machine>(world_, std::move(vm), 0);
    auto kept = keep_context(*machine, wanted.context);
    if (!kept) {
        forget_making(*machine);
        co_return std::unexpected{std::move(kept).error()};
    }
    co_return co_await begin_making(std::move(machine), std::move(operation), ticket);
}

// There before the intent: a machine whose intent is stored must find it.
Result<void> Fleet::keep_context(const Machine& machine, const std::string& context) const {
    if (context.empty()) {
        return {};
    }
    const auto file = machine.context_file();
    std::error_code failed;
    std::filesystem::create_directories(file.parent_path(), failed);
    std::filesystem::permissions(file.parent_path(), std::filesystem::perms::owner_all, failed);
    return write_file(file, context, 0600);
}

// Of a machine that comes to nothing before its intent is stored.
void Fleet::forget_making(const Machine& machine) const {
    for (const auto& port : machine.vm().ports) {
        world_.networks->release(port);
    }
    std::error_code ignored;
    std::filesystem::remove_all(machine.context_file().parent_path(), ignored);
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
    order.networks.emplace();
    for (const auto& interface : source->vm().interfaces) {
        order.networks->push_back({interface.network, "", interface.up_mbps, interface.down_mbps});
    }
    for (const auto& gpu : source->vm().gpus) {
        order.gpus.push_back({gpu.model, 1, 0});
    }
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
        forget_making(*machine);
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
