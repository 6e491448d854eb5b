#pragma once

#include "vmm/json/value.h"

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

struct CreateVm {
    std::string name;
    std::optional<std::string> formfile;
    std::optional<std::string> image;
    std::optional<std::uint32_t> vcpus;
    std::optional<std::uint32_t> memory_mib;
    std::optional<std::uint32_t> disk_gib;
    std::optional<std::map<std::string, std::string>> labels;
    std::optional<bool> start;
    static constexpr std::array required{"name"};
};
BOOST_DESCRIBE_STRUCT(CreateVm, (), (name, formfile, image, vcpus, memory_mib, disk_gib, labels, start))

struct UpdateVm {
    std::optional<std::string> name;
    std::optional<std::map<std::string, std::string>> labels;
};
BOOST_DESCRIBE_STRUCT(UpdateVm, (), (name, labels))

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

struct PutAccount {
    std::optional<std::string> name;
};
BOOST_DESCRIBE_STRUCT(PutAccount, (), (name))

struct Vm {
    std::string id;
    std::string name;
    std::string owner;
    std::optional<std::string> team;
    std::string status;
    std::string status_reason;
    std::string desired_power;
    std::uint32_t vcpus = 0;
    std::uint32_t memory_mib = 0;
    std::uint32_t disk_gib = 0;
    std::string image;
    std::string node;
    std::vector<std::string> addresses;
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
     node,
     addresses,
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

struct Account {
    std::string address;
    std::string name;
    bool administrator = false;
    std::uint64_t machines = 0;
    std::optional<std::string> created_at;
    std::optional<std::string> updated_at;
    std::int64_t revision = 0;
};
BOOST_DESCRIBE_STRUCT(Account, (), (address, name, administrator, machines, created_at, updated_at, revision))

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
