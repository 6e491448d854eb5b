#include "vmm/base/text.h"
#include "vmm/wire/messages.h"

#include <algorithm>

#include "actions.h"
#include "handlers.h"
#include "reply.h"
#include "represent.h"

namespace vmm::http {
namespace {

// The disks with what they take on the host, which the application's executor looks up.
Task<std::vector<wire::Disk>> measured(Service& service, std::vector<wire::Disk> disks) {
    for (auto& disk : disks) {
        disk.real_bytes = service.world.disks.real_bytes(disk.id == "root" ? disk.vm.value_or("") : disk.id);
    }
    co_return disks;
}

Task<std::vector<wire::Disk>> volumes_of(Service& service, domain::Caller caller) {
    CO_TRY(const auto volumes, co_await service.fleet.volumes(caller));
    std::vector<wire::Disk> out;
    for (const auto& volume : volumes) {
        out.push_back(represent(volume));
    }
    co_return co_await measured(service, std::move(out));
}

Task<Reply> detach(Service& service, Request& request, std::string disk) {
    CO_TRY(const auto expected, if_match(request));
    const auto id = request.parameters.at("id");
    co_return co_await conclude(
        service, request, service.fleet.detach(request.caller, id, std::move(disk), request.ticket, expected)
    );
}

}  // namespace

Task<Reply> clone_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::CloneVm>(request));
    app::CloneVm order;
    order.name = std::move(wanted.name);
    order.labels = wanted.labels.value_or(std::map<std::string, std::string>{});
    order.team = wanted.team.value_or("");
    order.start = wanted.start.value_or(false);
    const auto id = request.parameters.at("id");
    co_return co_await conclude(
        service, request, service.fleet.clone(request.caller, id, std::move(order), request.ticket)
    );
}

Task<Reply> publish_vm(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::PublishVm>(request));
    app::PublishOrder order;
    order.name = std::move(wanted.name);
    order.version = wanted.version.value_or("");
    order.as_form = wanted.form.value_or(false);
    CO_TRY(order.is_public, wants_public(wanted.visibility));
    const auto id = request.parameters.at("id");
    co_return co_await conclude(
        service, request, service.images.publish(request.caller, id, std::move(order), request.ticket)
    );
}

Task<Reply> list_events(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    wire::EventList list;
    for (const auto& each : service.world.journal.of(request.parameters.at("id"))) {
        list.events.push_back({rfc3339(each.at), each.what, each.detail});
    }
    co_return json_reply(200, list);
}

Task<Reply> list_disks(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    const auto vm = service.world.registry.find(request.parameters.at("id"));
    if (!vm) {
        co_return fail(Code::not_found, "there is no such machine, or it is not visible to you");
    }
    wire::DiskList list;
    CO_TRY(list.disks, co_await on_application(service, measured(service, disks_of(*vm))));
    co_return json_reply(200, list);
}

Task<Reply> add_disk(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(const auto expected, if_match(request));
    CO_TRY(auto wanted, body_of<wire::AddDisk>(request));
    if (wanted.size_gib.has_value() == wanted.volume.has_value()) {
        co_return invalid(
            "size_gib", "either the size of a new volume, or the id of an existing one in \"volume\""
        );
    }
    app::AttachDisk order;
    order.volume = wanted.volume.value_or("");
    order.name = wanted.name.value_or("");
    order.size_gib = wanted.size_gib.value_or(0);
    order.tuning = {wanted.iops, wanted.throughput_mbps, wanted.cache.value_or("")};
    const auto id = request.parameters.at("id");
    co_return co_await conclude(
        service, request, service.fleet.attach(request.caller, id, std::move(order), request.ticket, expected)
    );
}

Task<Reply> update_disk(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto expected, if_match(request));
    CO_TRY(auto wanted, body_of<wire::UpdateDisk>(request));
    const auto id = request.parameters.at("id");
    const auto disk = request.parameters.at("disk");
    const auto vm = service.world.registry.find(id);
    const auto disks = vm ? disks_of(*vm) : std::vector<wire::Disk>{};
    const auto found = std::ranges::find(disks, disk, &wire::Disk::id);
    if (found == disks.end()) {
        co_return fail(Code::not_found, "the machine has no disk " + quote(disk));
    }
    auto ticket = request.ticket;
    if (wanted.iops || wanted.throughput_mbps || wanted.cache || !wanted.size_gib) {
        domain::DiskTuning tuning{
            wanted.iops ? wanted.iops : found->iops,
            wanted.throughput_mbps ? wanted.throughput_mbps : found->throughput_mbps,
            wanted.cache ? *wanted.cache : found->cache.value_or("")
        };
        CO_CHECK(co_await on_application(
            service,
            service.fleet.tune(request.caller, id, disk, std::move(tuning), std::move(ticket), expected)
        ));
        ticket = app::Ticket{};
        expected.reset();
    }
    if (wanted.size_gib) {
        co_return co_await conclude(
            service,
            request,
            service.fleet.grow(request.caller, id, disk, *wanted.size_gib, std::move(ticket), expected)
        );
    }
    const auto changed = service.world.registry.find(id);
    const auto now_are = changed ? disks_of(*changed) : disks;
    const auto shown = std::ranges::find(now_are, disk, &wire::Disk::id);
    co_return json_reply(200, shown == now_are.end() ? *found : *shown);
}

Task<Reply> remove_disk(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    co_return co_await detach(service, request, request.parameters.at("disk"));
}

Task<Reply> remove_device(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_TRY(auto wanted, body_of<wire::RemoveDevice>(request));
    co_return co_await detach(service, request, std::move(wanted.id));
}

Task<Reply> list_volumes(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    wire::VolumeList list;
    CO_TRY(list.volumes, co_await on_application(service, volumes_of(service, request.caller)));
    co_return json_reply(200, list);
}

Task<Reply> delete_volume(Service& service, Request& request) {
    CO_CHECK(check_query(request, {}));
    CO_CHECK(body_of<wire::Nothing>(request));
    const auto id = request.parameters.at("volume");
    CO_CHECK(co_await on_application(service, service.fleet.remove_volume(request.caller, id, request.ticket))
    );
    Reply reply;
    reply.status = 204;
    co_return reply;
}

}  // namespace vmm::http
