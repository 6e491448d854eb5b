#include "represent.h"

#include "vmm/http/service.h"
#include "vmm/http/status.h"
#include "vmm/json/encode.h"

namespace vmm::http {
namespace {

std::optional<std::string> text(const std::optional<Timestamp>& time) {
    return time ? std::optional{rfc3339(*time)} : std::nullopt;
}

std::optional<std::string> unless_empty(const std::string& value) {
    return value.empty() ? std::nullopt : std::optional{value};
}

// Where a guest is that has not reported yet.
std::string booting(const domain::Vm& vm) {
    if (!vm.boot || vm.status != domain::Status::running || vm.boot->stage == domain::Stage::ready) {
        return {};
    }
    const std::string late = vm.boot->overdue ? "boot-timeout: " : "booting: ";
    return late + std::string{name(vm.boot->stage)} + " since " + rfc3339(vm.boot->since) + ", waiting for " +
           std::string{domain::awaited(vm.boot->stage)};
}

template <class T>
void put_owner(T& out, const domain::Owner& owner) {
    out.team = unless_empty(owner.team());
    if (const auto account = owner.account()) {
        out.owner = account->text();
    }
}

}  // namespace

wire::Vm represent(const domain::Vm& vm) {
    wire::Vm out;
    out.id = vm.id;
    out.name = vm.name;
    put_owner(out, vm.owner);
    out.status = name(vm.status);
    out.status_reason = vm.status_reason.empty() ? booting(vm) : vm.status_reason;
    out.health = unless_empty(vm.health);
    out.desired_power = vm.desired_power == domain::Power::on ? "on" : "off";
    out.vcpus = vm.vcpus;
    out.memory_mib = vm.memory_mib;
    out.disk_gib = vm.disk_gib;
    out.image = vm.image;
    for (const auto& gpu : vm.gpus) {
        out.gpus.push_back({gpu.model, gpu.address});
    }
    out.node = vm.node;
    out.addresses = vm.addresses;
    for (const auto& interface : vm.interfaces) {
        out.interfaces.push_back(represent(interface));
    }
    for (const auto& port : vm.ports) {
        out.ports.push_back(represent(port));
    }
    out.formnet_ip = unless_empty(vm.formnet_ip);
    out.labels = vm.labels;
    out.formfile = unless_empty(vm.formfile);
    out.restart_policy = "never";
    out.created_at = rfc3339(vm.created_at);
    out.updated_at = rfc3339(vm.updated_at);
    out.started_at = text(vm.started_at);
    out.boot_completed_at = text(vm.boot_completed_at);
    out.revision = vm.revision;
    out.build_id = vm.build_id;
    out.instance_id = vm.instance_id;
    return out;
}

wire::Problem represent(const Error& error, const std::string& request_id) {
    wire::Problem out;
    out.status = status(error.code());
    out.type = "urn:vmm:problem:" + std::string{error.slug()};
    out.title = title(out.status);
    out.detail = error.message();
    out.code = error.slug();
    out.request_id = unless_empty(request_id);
    out.hint = unless_empty(error.hint());
    out.field = unless_empty(error.field());
    out.expected_message = unless_empty(error.expected_message());
    out.recovered_address = unless_empty(error.recovered_address());
    return out;
}

wire::Disk represent(const domain::Volume& volume) {
    wire::Disk out;
    out.id = volume.id;
    out.kind = "volume";
    out.name = volume.name;
    put_owner(out, volume.owner);
    out.size_gib = volume.size_gib;
    out.iops = volume.tuning.iops;
    out.throughput_mbps = volume.tuning.throughput_mbps;
    out.cache = unless_empty(volume.tuning.cache);
    out.created_at = rfc3339(volume.created_at);
    return out;
}

std::vector<wire::Disk> disks_of(const domain::Vm& vm) {
    std::vector<wire::Disk> disks;
    domain::Volume root{"root", "", vm.owner, vm.disk_gib, vm.root_tuning, vm.created_at};
    disks.push_back(represent(root));
    disks.back().kind = "root";
    for (const auto& volume : vm.volumes) {
        disks.push_back(represent(volume));
    }
    for (auto& disk : disks) {
        disk.vm = vm.id;
    }
    return disks;
}

wire::Image represent(const app::ImageView& view) {
    const auto& image = view.image;
    const auto& facts = image.facts;
    wire::Image out;
    out.name = image.name;
    out.status = name(image.status);
    out.reason = image.reason;
    out.owner = view.dropped ? std::nullopt : std::optional{std::string{image.owner.text()}};
    out.visibility = image.is_public ? "public" : "private";
    out.format = facts.format;
    out.kind = facts.kind;
    out.architecture = facts.architecture;
    out.virtual_bytes = facts.virtual_bytes;
    out.real_bytes = facts.stored_bytes;
    out.sha256 = unless_empty(image.sha256);
    out.trust = unless_empty(std::string{name(facts.trust)});
    out.publisher = unless_empty(facts.publisher);
    out.root = unless_empty(facts.root);
    out.version = unless_empty(facts.version);
    out.description = unless_empty(facts.description);
    out.vcpus = facts.vcpus;
    out.memory_mib = facts.memory_mib;
    out.minimum_disk_gib = facts.minimum_disk_gib;
    out.source = image.source;
    out.used_by = view.used_by;
    if (image.status == domain::ImageStatus::uploading) {
        out.received_bytes = view.received_bytes;
        out.total_bytes = image.total_bytes;
    }
    out.operation = unless_empty(image.operation);
    out.created_at = rfc3339(image.created_at);
    out.updated_at = rfc3339(image.updated_at);
    return out;
}

wire::Operation represent(const domain::Operation& operation) {
    wire::Operation out;
    out.id = operation.id;
    out.kind = name(operation.kind);
    out.target = operation.target;
    out.status = name(operation.status);
    out.progress = operation.progress;
    if (operation.error) {
        auto value = json::parse(json::encode(represent(*operation.error, "")));
        out.error = std::move(*value);
    }
    out.requested_by = operation.requested_by.text();
    out.created_at = rfc3339(operation.created_at);
    out.updated_at = rfc3339(operation.updated_at);
    return out;
}

std::string present(const domain::Vm& vm) {
    return json::encode(represent(vm));
}

app::Answer render_image(const domain::Operation& operation, const app::ImageView* view) {
    app::Answer answer;
    if (operation.error) {
        const auto shown = represent(*operation.error, "");
        answer.status = shown.status;
        answer.body = json::encode(shown);
    } else if (view == nullptr) {
        answer.status = 204;
    } else {
        answer.status = 201;
        answer.body = json::encode(represent(*view));
    }
    return answer;
}

app::Answer render(const domain::Operation& operation, const domain::Vm* vm) {
    app::Answer answer;
    if (operation.error) {
        const auto shown = represent(*operation.error, "");
        answer.status = shown.status;
        answer.body = json::encode(shown);
    } else if (vm == nullptr) {
        answer.status = 204;
    } else if (operation.kind == domain::Job::detach) {
        answer.status = 204;
        answer.etag = "\"" + std::to_string(vm->revision) + "\"";
    } else if (operation.kind == domain::Job::attach ||
               (operation.kind == domain::Job::grow && operation.disk != "root")) {
        answer.status = operation.kind == domain::Job::attach ? 201 : 200;
        for (const auto& disk : disks_of(*vm)) {
            if (disk.id == operation.disk) {
                answer.body = json::encode(disk);
            }
        }
        answer.etag = "\"" + std::to_string(vm->revision) + "\"";
    } else {
        const bool makes = operation.kind == domain::Job::create || operation.kind == domain::Job::clone;
        answer.status = makes ? 201 : 200;
        answer.body = json::encode(represent(*vm));
        answer.etag = "\"" + std::to_string(vm->revision) + "\"";
    }
    return answer;
}

}  // namespace vmm::http
