#pragma once

#include "vmm/json/value.h"
#include "vmm/wire/networks.h"

#include <boost/describe.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

// What travels in bodies. Units stand in the names; times are RFC 3339 in UTC.
namespace vmm::wire {

// A request without fields.
struct Nothing {};
BOOST_DESCRIBE_STRUCT(Nothing, (), ())

struct GpuWish {
    std::string model;
    std::optional<std::uint32_t> count;
    static constexpr std::array required{"model"};
};
BOOST_DESCRIBE_STRUCT(GpuWish, (), (model, count))

struct CreateVm {
    std::string name;
    std::optional<std::string> formfile;
    std::optional<std::string> image;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    std::optional<std::uint32_t> disk_gib;
    std::optional<std::map<std::string, std::string>> labels;
    std::optional<std::string> team;  // the id of the team that owns it
    std::optional<std::vector<InterfaceWish>> networks;
    std::optional<std::vector<GpuWish>> gpus;
    std::optional<std::vector<std::string>> ssh_keys;
    std::optional<std::string> user_data;
    std::optional<bool> start;
    static constexpr std::array required{"name"};
};
BOOST_DESCRIBE_STRUCT(
    CreateVm,
    (),
    (name,
     formfile,
     image,
     vcpus,
     memory_mib,
     disk_gib,
     labels,
     team,
     networks,
     gpus,
     ssh_keys,
     user_data,
     start)
)

struct UpdateVm {
    std::optional<std::string> name;
    std::optional<std::map<std::string, std::string>> labels;
    std::optional<std::uint32_t> disk_gib;  // larger than it is
};
BOOST_DESCRIBE_STRUCT(UpdateVm, (), (name, labels, disk_gib))

struct CloneVm {
    std::string name;
    std::optional<std::map<std::string, std::string>> labels;
    std::optional<std::string> team;
    std::optional<bool> start;
    static constexpr std::array required{"name"};
};
BOOST_DESCRIBE_STRUCT(CloneVm, (), (name, labels, team, start))

struct PublishVm {
    std::string name;
    std::optional<std::string> version;
    std::optional<bool> form;
    std::optional<std::string> visibility;  // private (the default) or public
    static constexpr std::array required{"name"};
};
BOOST_DESCRIBE_STRUCT(PublishVm, (), (name, version, form, visibility))

struct ImportImage {
    std::string name;
    std::optional<std::string> url;
    std::optional<std::string> path;
    std::optional<std::string> sha256;
    std::optional<std::string> root;
    std::optional<std::string> visibility;  // private (the default) or public
    static constexpr std::array required{"name"};
};
BOOST_DESCRIBE_STRUCT(ImportImage, (), (name, url, path, sha256, root, visibility))

struct AddDisk {
    std::optional<std::uint32_t> size_gib;
    std::optional<std::string> volume;
    std::optional<std::string> name;
    std::optional<std::uint32_t> iops;
    std::optional<std::uint32_t> throughput_mbps;
    std::optional<std::string> cache;
};
BOOST_DESCRIBE_STRUCT(AddDisk, (), (size_gib, volume, name, iops, throughput_mbps, cache))

struct UpdateDisk {
    std::optional<std::uint32_t> size_gib;
    std::optional<std::uint32_t> iops;
    std::optional<std::uint32_t> throughput_mbps;
    std::optional<std::string> cache;
};
BOOST_DESCRIBE_STRUCT(UpdateDisk, (), (size_gib, iops, throughput_mbps, cache))

struct RemoveDevice {
    std::string id;
    static constexpr std::array required{"id"};
};
BOOST_DESCRIBE_STRUCT(RemoveDevice, (), (id))

// A machine's disk, or a volume that is attached to none.
struct Disk {
    std::string id;
    std::string kind;  // root or volume
    std::string name;
    std::optional<std::string> owner;  // absent when a team owns it
    std::optional<std::string> team;
    std::optional<std::string> vm;
    std::uint32_t size_gib = 0;
    std::optional<std::uint64_t> real_bytes;
    std::optional<std::uint32_t> iops;
    std::optional<std::uint32_t> throughput_mbps;
    std::optional<std::string> cache;
    std::string created_at;
};
BOOST_DESCRIBE_STRUCT(
    Disk,
    (),
    (id, kind, name, owner, team, vm, size_gib, real_bytes, iops, throughput_mbps, cache, created_at)
)

struct DiskList {
    std::vector<Disk> disks;
};
BOOST_DESCRIBE_STRUCT(DiskList, (), (disks))

struct VolumeList {
    std::vector<Disk> volumes;
};
BOOST_DESCRIBE_STRUCT(VolumeList, (), (volumes))

struct Event {
    std::string at;
    std::string what;
    std::string detail;
};
BOOST_DESCRIBE_STRUCT(Event, (), (at, what, detail))

struct EventList {
    std::vector<Event> events;
};
BOOST_DESCRIBE_STRUCT(EventList, (), (events))

struct Image {
    std::string name;
    std::string status;
    std::string reason;
    std::optional<std::string> owner;  // absent for what lies in the image folder
    std::string visibility;            // private or public
    std::string format;
    std::string kind;
    std::string architecture;
    std::uint64_t virtual_bytes = 0;
    std::uint64_t real_bytes = 0;
    std::optional<std::string> sha256;
    std::optional<std::string> trust;
    std::optional<std::string> publisher;
    std::optional<std::string> root;
    std::optional<std::string> version;
    std::optional<std::string> description;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    std::optional<std::uint32_t> minimum_disk_gib;
    std::string source;
    std::vector<std::string> used_by;
    std::optional<std::uint64_t> received_bytes;
    std::optional<std::uint64_t> total_bytes;
    std::optional<std::string> operation;
    std::string created_at;
    std::string updated_at;
};
BOOST_DESCRIBE_STRUCT(
    Image,
    (),
    (name,
     status,
     reason,
     owner,
     visibility,
     format,
     kind,
     architecture,
     virtual_bytes,
     real_bytes,
     sha256,
     trust,
     publisher,
     root,
     version,
     description,
     vcpus,
     memory_mib,
     minimum_disk_gib,
     source,
     used_by,
     received_bytes,
     total_bytes,
     operation,
     created_at,
     updated_at)
)

struct ImageList {
    std::vector<Image> images;
    std::optional<std::string> next_cursor;
};
BOOST_DESCRIBE_STRUCT(ImageList, (), (images, next_cursor))

struct StopVm {
    std::optional<std::int64_t> timeout_s;
    std::optional<bool> force;
};
BOOST_DESCRIBE_STRUCT(StopVm, (), (timeout_s, force))

struct BootComplete {
    std::optional<std::string> name;
    std::optional<std::string> build_id;
    std::optional<std::string> formnet_ip;
    std::optional<std::string> token;
};
BOOST_DESCRIBE_STRUCT(BootComplete, (), (name, build_id, formnet_ip, token))

struct Gpu {
    std::string model;
    std::string address;  // on the host's PCI bus
};
BOOST_DESCRIBE_STRUCT(Gpu, (), (model, address))

struct Vm {
    std::string id;
    std::string name;
    std::optional<std::string> owner;  // absent when a team owns it
    std::optional<std::string> team;
    std::string status;
    std::string status_reason;
    std::string desired_power;
    std::uint32_t vcpus = 0;
    std::uint32_t memory_mib = 0;
    std::uint32_t disk_gib = 0;
    std::string image;
    std::vector<Gpu> gpus;
    std::string node;
    std::vector<std::string> addresses;
    std::vector<Interface> interfaces;
    std::vector<PublishedPort> ports;
    std::optional<std::string> formnet_ip;
    std::map<std::string, std::string> labels;
    std::optional<std::string> formfile;
    std::string restart_policy;
    std::optional<std::string> health;
    std::string created_at;
    std::string updated_at;
    std::optional<std::string> started_at;
    std::optional<std::string> boot_completed_at;
    std::int64_t revision = 0;
    std::string build_id;
    std::string instance_id;
};
BOOST_DESCRIBE_STRUCT(
    Vm,
    (),
    (id,
     name,
     owner,
     team,
     status,
     status_reason,
     desired_power,
     vcpus,
     memory_mib,
     disk_gib,
     image,
     gpus,
     node,
     addresses,
     interfaces,
     ports,
     formnet_ip,
     labels,
     formfile,
     restart_policy,
     health,
     created_at,
     updated_at,
     started_at,
     boot_completed_at,
     revision,
     build_id,
     instance_id)
)

struct Problem {
    std::string type;
    std::string title;
    int status = 0;
    std::string detail;
    std::string code;
    std::optional<std::string> request_id;
    std::optional<std::string> hint;
    std::optional<std::string> field;
    std::optional<std::string> expected_message;
    std::optional<std::string> recovered_address;
    static constexpr bool omit_empty = true;
};
BOOST_DESCRIBE_STRUCT(
    Problem,
    (),
    (type, title, status, detail, code, request_id, hint, field, expected_message, recovered_address)
)

struct Operation {
    std::string id;
    std::string kind;
    std::string target;
    std::string status;
    int progress = 0;
    std::optional<json::Value> error;  // a Problem
    std::string requested_by;
    std::string created_at;
    std::string updated_at;
};
BOOST_DESCRIBE_STRUCT(
    Operation,
    (),
    (id, kind, target, status, progress, error, requested_by, created_at, updated_at)
)

struct Check {
    std::string status;
    std::string detail;
};
BOOST_DESCRIBE_STRUCT(Check, (), (status, detail))

struct Health {
    std::string status;
    std::map<std::string, Check> checks;
    std::string version;
    std::int64_t uptime_s = 0;
};
BOOST_DESCRIBE_STRUCT(Health, (), (status, checks, version, uptime_s))

struct VmList {
    std::vector<Vm> vms;
    std::optional<std::string> next_cursor;
};
BOOST_DESCRIBE_STRUCT(VmList, (), (vms, next_cursor))

struct OperationList {
    std::vector<Operation> operations;
    std::optional<std::string> next_cursor;
};
BOOST_DESCRIBE_STRUCT(OperationList, (), (operations, next_cursor))

}  // namespace vmm::wire
