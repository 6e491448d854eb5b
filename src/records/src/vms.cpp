#include "vmm/base/ids.h"
#include "vmm/json/decode.h"
#include "vmm/json/encode.h"
#include "vmm/records/records.h"

#include "network_rows.h"

namespace vmm::records {
namespace {

using domain::Address;

struct TuningRow {
    std::optional<std::uint32_t> iops;
    std::optional<std::uint32_t> throughput_mbps;
    std::string cache;
};
BOOST_DESCRIBE_STRUCT(TuningRow, (), (iops, throughput_mbps, cache))

struct VolumeRow {
    int v = schema_version;
    std::string id;
    std::string name;
    std::string owner;
    std::uint32_t size_gib = 0;
    TuningRow tuning;
    std::int64_t created_at = 0;
};
BOOST_DESCRIBE_STRUCT(VolumeRow, (), (v, id, name, owner, size_gib, tuning, created_at))

struct GrantRow {
    std::string to;
    std::string role;
    std::optional<std::int64_t> expires_at;
    std::string given_by;
    std::int64_t given_at = 0;
};
BOOST_DESCRIBE_STRUCT(GrantRow, (), (to, role, expires_at, given_by, given_at))

struct OfferRow {
    std::string to;
    bool keep_collaborators = false;
    std::string offered_by;
    std::int64_t offered_at = 0;
};
BOOST_DESCRIBE_STRUCT(OfferRow, (), (to, keep_collaborators, offered_by, offered_at))

struct GpuRow {
    std::string model;
    std::string address;
};
BOOST_DESCRIBE_STRUCT(GpuRow, (), (model, address))

struct VmRow {
    int v = schema_version;
    std::string id;
    std::string name;
    std::string owner;
    std::vector<GrantRow> collaborators;
    std::optional<OfferRow> offer;
    std::string status;
    std::string status_reason;
    bool desired_on = false;
    std::uint32_t vcpus = 0;
    std::uint32_t memory_mib = 0;
    std::uint32_t disk_gib = 0;
    std::string image;
    TuningRow root_tuning;
    std::vector<VolumeRow> volumes;
    std::vector<GpuRow> gpus;
    std::string node;
    std::string formfile;
    std::map<std::string, std::string> labels;
    std::vector<std::string> addresses;
    std::vector<InterfaceRow> interfaces;
    FirewallRow firewall;
    std::vector<PortRow> ports;
    std::string user_data;
    std::vector<std::string> ssh_keys;
    std::string formnet_ip;
    std::int64_t created_at = 0;
    std::int64_t updated_at = 0;
    std::optional<std::int64_t> started_at;
    std::optional<std::int64_t> boot_completed_at;
    std::int64_t revision = 0;
    std::string operation;
    std::string boot_token_hash;
    std::string host_boot_id;
    std::string build_id;
    std::string instance_id;
};
BOOST_DESCRIBE_STRUCT(
    VmRow,
    (),
    (v,
     id,
     name,
     owner,
     collaborators,
     offer,
     status,
     status_reason,
     desired_on,
     vcpus,
     memory_mib,
     disk_gib,
     image,
     root_tuning,
     volumes,
     gpus,
     node,
     formfile,
     labels,
     addresses,
     interfaces,
     firewall,
     ports,
     user_data,
     ssh_keys,
     formnet_ip,
     created_at,
     updated_at,
     started_at,
     boot_completed_at,
     revision,
     operation,
     boot_token_hash,
     host_boot_id,
     build_id,
     instance_id)
)

std::optional<std::int64_t> ms(const std::optional<Timestamp>& time) {
    return time ? std::optional{time->ms} : std::nullopt;
}

std::optional<Timestamp> at(const std::optional<std::int64_t>& ms) {
    return ms ? std::optional{Timestamp{*ms}} : std::nullopt;
}

TuningRow row_of(const domain::DiskTuning& tuning) {
    return {tuning.iops, tuning.throughput_mbps, tuning.cache};
}

domain::DiskTuning tuning_of(TuningRow row) {
    return {row.iops, row.throughput_mbps, std::move(row.cache)};
}

VolumeRow row_of(const domain::Volume& volume) {
    VolumeRow row;
    row.id = volume.id;
    row.name = volume.name;
    row.owner = volume.owner.text();
    row.size_gib = volume.size_gib;
    row.tuning = row_of(volume.tuning);
    row.created_at = volume.created_at.ms;
    return row;
}

Result<domain::Volume> volume_of(VolumeRow row) {
    const auto owner = domain::Owner::from_stored(row.owner);
    if (!owner) {
        return corrupt("its owner is not one");
    }
    return domain::Volume{
        std::move(row.id),
        std::move(row.name),
        *owner,
        row.size_gib,
        tuning_of(std::move(row.tuning)),
        {row.created_at}
    };
}

GrantRow row_of(const domain::Grant& grant) {
    return {
        std::string{grant.to.text()},
        std::string{name(grant.role)},
        ms(grant.expires_at),
        std::string{grant.given_by.text()},
        grant.given_at.ms
    };
}

Result<domain::Grant> grant_of(const GrantRow& row) {
    const auto to = Address::from_stored(row.to);
    const auto by = Address::from_stored(row.given_by);
    const auto role = domain::role_named(row.role);
    if (!to || !by || !role) {
        return corrupt("a collaborator is none");
    }
    return domain::Grant{*to, *role, at(row.expires_at), *by, {row.given_at}};
}

Result<domain::Offer> offer_of(const OfferRow& row) {
    const auto to = domain::Owner::from_stored(row.to);
    const auto by = Address::from_stored(row.offered_by);
    if (!to || !by) {
        return corrupt("its offer is none");
    }
    return domain::Offer{*to, row.keep_collaborators, *by, {row.offered_at}};
}

constexpr int first_with_networks = 4;

// What every machine had before there were networks: QEMU's own, under an address made of its id.
domain::Interface first_interface(const std::string& id) {
    const auto tail = uuid_of(id).substr(30);
    domain::Interface out;
    out.id = "nic0";
    out.network = domain::user_network;
    out.mac = "52:54:00:" + tail.substr(0, 2) + ":" + tail.substr(2, 2) + ":" + tail.substr(4, 2);
    return out;
}

}  // namespace

std::string write(const domain::Volume& volume) {
    return json::encode(row_of(volume));
}

Result<domain::Volume> read_volume(std::string_view text) {
    TRY(auto row, read_row<VolumeRow>(text));
    return volume_of(std::move(row));
}

std::string write(const domain::Vm& vm) {
    VmRow row;
    row.id = vm.id;
    row.name = vm.name;
    row.owner = vm.owner.text();
    for (const auto& grant : vm.collaborators) {
        row.collaborators.push_back(row_of(grant));
    }
    if (const auto& offer = vm.offer) {
        row.offer = OfferRow{
            std::string{offer->to.text()},
            offer->keep_collaborators,
            std::string{offer->offered_by.text()},
            offer->offered_at.ms
        };
    }
    row.status = name(vm.status);
    row.status_reason = vm.status_reason;
    row.desired_on = vm.desired_power == domain::Power::on;
    row.vcpus = vm.vcpus;
    row.memory_mib = vm.memory_mib;
    row.disk_gib = vm.disk_gib;
    row.image = vm.image;
    row.root_tuning = row_of(vm.root_tuning);
    for (const auto& volume : vm.volumes) {
        row.volumes.push_back(row_of(volume));
    }
    for (const auto& gpu : vm.gpus) {
        row.gpus.push_back({gpu.model, gpu.address});
    }
    row.node = vm.node;
    row.formfile = vm.formfile;
    row.labels = vm.labels;
    row.addresses = vm.addresses;
    for (const auto& interface : vm.interfaces) {
        row.interfaces.push_back(row_of(interface));
    }
    row.firewall = row_of(vm.firewall);
    for (const auto& port : vm.ports) {
        row.ports.push_back(row_of(port));
    }
    row.user_data = vm.user_data;
    row.ssh_keys = vm.ssh_keys;
    row.formnet_ip = vm.formnet_ip;
    row.created_at = vm.created_at.ms;
    row.updated_at = vm.updated_at.ms;
    row.started_at = ms(vm.started_at);
    row.boot_completed_at = ms(vm.boot_completed_at);
    row.revision = vm.revision;
    row.operation = vm.operation;
    row.boot_token_hash = vm.boot_token_hash;
    row.host_boot_id = vm.host_boot_id;
    row.build_id = vm.build_id;
    row.instance_id = vm.instance_id;
    return json::encode(row);
}

Result<domain::Vm> read_vm(std::string_view text) {
    TRY(auto row, read_row<VmRow>(text));
    const auto owner = domain::Owner::from_stored(row.owner);
    const auto status = domain::status_named(row.status);
    if (!owner || !status) {
        return corrupt("its owner or status is not one");
    }
    domain::Vm vm;
    vm.id = std::move(row.id);
    vm.name = std::move(row.name);
    vm.owner = *owner;
    for (const auto& grant : row.collaborators) {
        TRY(auto read, grant_of(grant));
        vm.collaborators.push_back(std::move(read));
    }
    if (row.offer) {
        TRY(vm.offer, offer_of(*row.offer));
    }
    vm.status = *status;
    vm.status_reason = std::move(row.status_reason);
    vm.desired_power = row.desired_on ? domain::Power::on : domain::Power::off;
    vm.vcpus = row.vcpus;
    vm.memory_mib = row.memory_mib;
    vm.disk_gib = row.disk_gib;
    vm.image = std::move(row.image);
    vm.root_tuning = tuning_of(std::move(row.root_tuning));
    for (auto& volume : row.volumes) {
        TRY(auto read, volume_of(std::move(volume)));
        vm.volumes.push_back(std::move(read));
    }
    for (auto& gpu : row.gpus) {
        vm.gpus.push_back({std::move(gpu.model), std::move(gpu.address)});
    }
    vm.node = std::move(row.node);
    vm.formfile = std::move(row.formfile);
    vm.labels = std::move(row.labels);
    vm.addresses = std::move(row.addresses);
    for (auto& interface : row.interfaces) {
        TRY(auto read, interface_of(std::move(interface)));
        vm.interfaces.push_back(std::move(read));
    }
    if (row.v < first_with_networks) {
        vm.interfaces.push_back(first_interface(vm.id));
    }
    TRY(vm.firewall, firewall_of(row.firewall));
    for (auto& port : row.ports) {
        vm.ports.push_back(port_of(std::move(port)));
    }
    vm.user_data = std::move(row.user_data);
    vm.ssh_keys = std::move(row.ssh_keys);
    vm.formnet_ip = std::move(row.formnet_ip);
    vm.created_at = {row.created_at};
    vm.updated_at = {row.updated_at};
    vm.started_at = at(row.started_at);
    vm.boot_completed_at = at(row.boot_completed_at);
    vm.revision = row.revision;
    vm.operation = std::move(row.operation);
    vm.boot_token_hash = std::move(row.boot_token_hash);
    vm.host_boot_id = std::move(row.host_boot_id);
    vm.build_id = std::move(row.build_id);
    vm.instance_id = std::move(row.instance_id);
    return vm;
}

}  // namespace vmm::records
