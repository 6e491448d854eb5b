#include "vmm/records/records.h"

#include "vmm/json/decode.h"
#include "vmm/json/encode.h"

#include "row.h"

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
    std::string node;
    std::string formfile;
    std::map<std::string, std::string> labels;
    std::vector<std::string> addresses;
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
     node,
     formfile,
     labels,
     addresses,
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

struct ErrorRow {
    std::string code;
    std::string slug;
    std::string message;
    std::string field;
    std::string hint;
};
BOOST_DESCRIBE_STRUCT(ErrorRow, (), (code, slug, message, field, hint))

struct OperationRow {
    int v = schema_version;
    std::string id;
    std::string kind;
    std::string target;
    std::string status;
    int progress = 0;
    std::optional<ErrorRow> error;
    std::string requested_by;
    std::int64_t created_at = 0;
    std::int64_t updated_at = 0;
    std::int64_t timeout_s = 0;
    bool force = false;
    bool start = false;
    std::string source;
    std::string disk;
    std::uint32_t size_gib = 0;
    bool with_volumes = false;
    int attempts = 0;
    std::string idempotency_key;
};
BOOST_DESCRIBE_STRUCT(
    OperationRow,
    (),
    (v,
     id,
     kind,
     target,
     status,
     progress,
     error,
     requested_by,
     created_at,
     updated_at,
     timeout_s,
     force,
     start,
     source,
     disk,
     size_gib,
     with_volumes,
     attempts,
     idempotency_key)
)

struct RememberedRow {
    int v = schema_version;
    std::string body_sha256;
    std::string operation;
    std::string target;
    int status = 0;
    std::string body;
    std::string etag;
};
BOOST_DESCRIBE_STRUCT(RememberedRow, (), (v, body_sha256, operation, target, status, body, etag))

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
    row.node = vm.node;
    row.formfile = vm.formfile;
    row.labels = vm.labels;
    row.addresses = vm.addresses;
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
    vm.node = std::move(row.node);
    vm.formfile = std::move(row.formfile);
    vm.labels = std::move(row.labels);
    vm.addresses = std::move(row.addresses);
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

std::string write(const domain::Operation& operation) {
    OperationRow row;
    row.id = operation.id;
    row.kind = name(operation.kind);
    row.target = operation.target;
    row.status = name(operation.status);
    row.progress = operation.progress;
    if (const auto& error = operation.error) {
        row.error = ErrorRow{
            std::string{name(error->code())},
            std::string{error->slug()},
            error->message(),
            error->field(),
            error->hint()
        };
    }
    row.requested_by = operation.requested_by.text();
    row.created_at = operation.created_at.ms;
    row.updated_at = operation.updated_at.ms;
    row.timeout_s = operation.timeout_s;
    row.force = operation.force;
    row.start = operation.start;
    row.source = operation.source;
    row.disk = operation.disk;
    row.size_gib = operation.size_gib;
    row.with_volumes = operation.with_volumes;
    row.attempts = operation.attempts;
    row.idempotency_key = operation.idempotency_key;
    return json::encode(row);
}

Result<domain::Operation> read_operation(std::string_view text) {
    TRY(auto row, read_row<OperationRow>(text));
    const auto kind = domain::job_named(row.kind);
    const auto status = domain::progress_named(row.status);
    const auto requester = Address::from_stored(row.requested_by);
    if (!kind || !status || !requester) {
        return corrupt("its kind, status or requester is not one");
    }
    domain::Operation operation;
    operation.id = std::move(row.id);
    operation.kind = *kind;
    operation.target = std::move(row.target);
    operation.status = *status;
    operation.progress = row.progress;
    if (row.error) {
        operation.error = Error{code_named(row.error->code), row.error->message}
                              .with_slug(row.error->slug)
                              .with_field(row.error->field)
                              .with_hint(row.error->hint);
    }
    operation.requested_by = *requester;
    operation.created_at = {row.created_at};
    operation.updated_at = {row.updated_at};
    operation.timeout_s = row.timeout_s;
    operation.force = row.force;
    operation.start = row.start;
    operation.source = std::move(row.source);
    operation.disk = std::move(row.disk);
    operation.size_gib = row.size_gib;
    operation.with_volumes = row.with_volumes;
    operation.attempts = row.attempts;
    operation.idempotency_key = std::move(row.idempotency_key);
    return operation;
}

std::string write(const Remembered& remembered) {
    return json::encode(RememberedRow{
        schema_version,
        remembered.body_sha256,
        remembered.operation,
        remembered.target,
        remembered.status,
        remembered.body,
        remembered.etag,
    });
}

Result<Remembered> read_remembered(std::string_view text) {
    TRY(auto row, read_row<RememberedRow>(text));
    return Remembered{
        std::move(row.body_sha256),
        std::move(row.operation),
        std::move(row.target),
        row.status,
        std::move(row.body),
        std::move(row.etag),
    };
}

}  // namespace vmm::records
