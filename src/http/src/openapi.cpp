#include "vmm/json/encode.h"
#include "vmm/proofs/ledger_json.h"
#include "vmm/wire/auth.h"
#include "vmm/wire/guests.h"
#include "vmm/wire/messages.h"
#include "vmm/wire/people.h"

#include <set>

#include "reply.h"
#include "routes.h"

namespace vmm::http {
namespace {

using json::detail::is_map;
using json::detail::is_optional;
using json::detail::is_vector;

using json::text;

template <class T>
std::string schema_of();

template <class T>
std::string object_schema() {
    std::string members;
    boost::mp11::mp_for_each<boost::describe::describe_members<T, boost::describe::mod_public>>(
        [&members](auto member) {
            using Member = std::remove_cvref_t<decltype(std::declval<T>().*member.pointer)>;
            members.append(members.empty() ? "" : ",")
                .append(text(member.name))
                .append(":")
                .append(schema_of<Member>());
        }
    );
    std::string out = R"({"type":"object","properties":{)" + members + R"(},"additionalProperties":false)";
    if constexpr (requires { T::required; }) {
        std::string names;
        for (const std::string_view name : T::required) {
            names.append(names.empty() ? "" : ",").append(text(name));
        }
        out.append(R"(,"required":[)").append(names).append("]");
    }
    return out.append("}");
}

template <class T>
std::string schema_of() {
    if constexpr (is_optional<T>) {
        return schema_of<typename T::value_type>();
    } else if constexpr (std::same_as<T, bool>) {
        return R"({"type":"boolean"})";
    } else if constexpr (std::unsigned_integral<T>) {
        return R"({"type":"integer","minimum":0})";
    } else if constexpr (std::integral<T>) {
        return R"({"type":"integer"})";
    } else if constexpr (std::same_as<T, std::string>) {
        return R"({"type":"string"})";
    } else if constexpr (std::same_as<T, json::Value>) {
        return R"({})";
    } else if constexpr (is_vector<T>) {
        return R"({"type":"array","items":)" + schema_of<typename T::value_type>() + "}";
    } else if constexpr (is_map<T>) {
        return R"({"type":"object","additionalProperties":)" + schema_of<typename T::mapped_type>() + "}";
    } else {
        return object_schema<T>();
    }
}

// A page of the ledger; written by hand elsewhere, from records that are JSON already.
struct AuditList {
    std::vector<proofs::LedgerRecord> records;
    std::optional<std::string> next_cursor;
};
BOOST_DESCRIBE_STRUCT(AuditList, (), (records, next_cursor))

template <class Add>
void add_networks(const Add& add) {
    add("CreateNetwork", object_schema<wire::CreateNetwork>());
    add("Network", object_schema<wire::Network>());
    add("NetworkList", object_schema<wire::NetworkList>());
    add("InterfaceWish", object_schema<wire::InterfaceWish>());
    add("Interface", object_schema<wire::Interface>());
    add("InterfaceList", object_schema<wire::InterfaceList>());
    add("UpdateInterface", object_schema<wire::UpdateInterface>());
    add("Firewall", object_schema<wire::Firewall>());
    add("PublishPort", object_schema<wire::PublishPort>());
    add("PublishedPort", object_schema<wire::PublishedPort>());
    add("PortList", object_schema<wire::PortList>());
    add("Exec", object_schema<wire::Exec>());
    add("AddSshKeys", object_schema<wire::AddSshKeys>());
    add("Guest", object_schema<wire::Guest>());
    add("Explanation", object_schema<wire::Explanation>());
}

template <class Add>
void add_people(const Add& add) {
    add("PutAccount", object_schema<wire::PutAccount>());
    add("Account", object_schema<wire::Account>());
    add("PutCollaborator", object_schema<wire::PutCollaborator>());
    add("Collaborator", object_schema<wire::Collaborator>());
    add("CollaboratorList", object_schema<wire::CollaboratorList>());
    add("TransferVm", object_schema<wire::TransferVm>());
    add("AcceptVm", object_schema<wire::AcceptVm>());
    add("TransferList", object_schema<wire::TransferList>());
    add("PutTeam", object_schema<wire::PutTeam>());
    add("Team", object_schema<wire::Team>());
    add("TeamList", object_schema<wire::TeamList>());
    add("PutMember", object_schema<wire::PutMember>());
    add("Nonce", object_schema<wire::Nonce>());
    add("Login", object_schema<wire::Login>());
    add("LoggedIn", object_schema<wire::LoggedIn>());
    add("Whoami", object_schema<wire::Whoami>());
    add("SessionList", object_schema<wire::SessionList>());
    add("RevokeCapability", object_schema<wire::RevokeCapability>());
    add("Revocation", object_schema<wire::Revocation>());
    add("RevocationList", object_schema<wire::RevocationList>());
    add("LedgerHead", object_schema<proofs::LedgerHead>());
    add("AuditList", object_schema<AuditList>());
    add("JsonLines", R"({"type":"string"})");
    add("Member", object_schema<wire::Member>());
    add("MemberList", object_schema<wire::MemberList>());
}

std::string components() {
    std::string out;
    const auto add = [&out](std::string_view name, const std::string& schema) {
        out.append(out.empty() ? "" : ",").append(text(name)).append(":").append(schema);
    };
    add("Nothing", object_schema<wire::Nothing>());
    add("CreateVm", object_schema<wire::CreateVm>());
    add("UpdateVm", object_schema<wire::UpdateVm>());
    add("CloneVm", object_schema<wire::CloneVm>());
    add("PublishVm", object_schema<wire::PublishVm>());
    add("AddDisk", object_schema<wire::AddDisk>());
    add("UpdateDisk", object_schema<wire::UpdateDisk>());
    add("RemoveDevice", object_schema<wire::RemoveDevice>());
    add("ImportImage", object_schema<wire::ImportImage>());
    add("Image", object_schema<wire::Image>());
    add("ImageList", object_schema<wire::ImageList>());
    add("Disk", object_schema<wire::Disk>());
    add("DiskList", object_schema<wire::DiskList>());
    add("VolumeList", object_schema<wire::VolumeList>());
    add("EventList", object_schema<wire::EventList>());
    add("Bytes", R"({"type":"string","format":"binary"})");
    add("StopVm", object_schema<wire::StopVm>());
    add("BootComplete", object_schema<wire::BootComplete>());
    add_networks(add);
    add_people(add);
    add("Vm", object_schema<wire::Vm>());
    add("VmList", object_schema<wire::VmList>());
    add("Operation", object_schema<wire::Operation>());
    add("OperationList", object_schema<wire::OperationList>());
    add("Health", object_schema<wire::Health>());
    add("Problem", object_schema<wire::Problem>());
    add("Document", R"({"type":"object"})");
    return out;
}

std::string reference(std::string_view name) {
    return R"({"$ref":"#/components/schemas/)" + std::string{name} + "\"}";
}

std::string parameters(std::string_view pattern) {
    std::string out;
    for (auto at = pattern.find('{'); at != std::string_view::npos; at = pattern.find('{', at + 1)) {
        const auto name = pattern.substr(at + 1, pattern.find('}', at) - at - 1);
        out.append(out.empty() ? "" : ",").append(R"({"name":)").append(text(name));
        out.append(R"(,"in":"path","required":true,"schema":{"type":"string"}})");
    }
    return out;
}

std::string responses(const Route& route) {
    const auto content = [](std::string_view type, std::string_view schema) {
        return R"("content":{)" + text(type) + R"(:{"schema":)" + reference(schema) + "}}";
    };
    std::string out;
    if (route.answer.empty()) {
        out.append(R"("204":{"description":"Done"})");
    } else {
        const bool creates = route.body == "CreateVm" || route.body == "CloneVm" ||
                             route.body == "PublishVm" || route.body == "AddDisk" ||
                             route.body == "ImportImage" ||
                             (route.body == "PutTeam" && route.method == "POST") || route.body == "Login";
        out.append(creates ? R"("201":{"description":"Created",)" : R"("200":{"description":"Done",)");
        out.append(content(
                       route.answer == "Bytes"       ? "application/octet-stream"
                       : route.answer == "JsonLines" ? "application/jsonl"
                                                     : "application/json",
                       route.answer
                   ))
            .append("}");
    }
    if (route.method != "GET" && route.access.kind() != Access::Kind::anyone) {
        out.append(R"(,"202":{"description":"Goes on as an operation",)")
            .append(content("application/json", "Operation"))
            .append("}");
    }
    return out.append(R"(,"default":{"description":"A problem as of RFC 9457",)")
        .append(content("application/problem+json", "Problem"))
        .append("}");
}

// Who may use the route, for people and for the test that calls every one of them.
std::string access_object(const Access& access) {
    std::string out = R"({"on":)" + text(access.kind_name());
    if (!access.role_name().empty()) {
        out.append(R"(,"role":)").append(text(access.role_name()));
    }
    if (access.allows_self()) {
        out.append(R"(,"or_self":true)");
    }
    if (access.kind() == Access::Kind::machine) {
        out.append(R"(,"action":)").append(text(name(access.action())));
    }
    return out.append("}");
}

std::string operation_object(const Route& route) {
    std::string out =
        R"({"summary":)" + text(route.summary) + R"(,"x-access":)" + access_object(route.access);
    out.append(R"(,"parameters":[)").append(parameters(route.pattern)).append("]");
    if (!route.body.empty()) {
        out.append(R"(,"requestBody":{"content":{"application/json":{"schema":)")
            .append(reference(route.body))
            .append("}")
            .append(
                route.streams ? R"(,"application/octet-stream":{"schema":)" + reference("Bytes") + "}" : ""
            )
            .append("}}");
    }
    if (route.access.kind() == Access::Kind::anyone) {
        out.append(R"(,"security":[])");
    }
    return out.append(R"(,"responses":{)").append(responses(route)).append("}}");
}

}  // namespace

std::string openapi_document(const std::string& version) {
    std::string paths;
    std::set<std::string_view> seen;
    for (const auto& route : routes()) {
        if (!seen.insert(route.pattern).second) {
            continue;
        }
        std::string methods;
        for (const auto& same : routes()) {
            if (same.pattern == route.pattern) {
                std::string method{same.method};
                for (char& c : method) {
                    c = static_cast<char>(c - 'A' + 'a');
                }
                methods.append(methods.empty() ? "" : ",")
                    .append(text(method))
                    .append(":")
                    .append(operation_object(same));
            }
        }
        paths.append(paths.empty() ? "" : ",")
            .append(text(route.pattern))
            .append(":{")
            .append(methods)
            .append("}");
    }
    return R"({"openapi":"3.1.0","info":{"title":"vmm-service","version":)" + text(version) +
           R"(},"servers":[{"url":"/"},{"url":"/v1"}],"security":[{"signature":[],"recovery":[],"timestamp":[]}],"paths":{)" +
           paths + R"(},"components":{"schemas":{)" + components() +
           R"(},"securitySchemes":{"signature":{"type":"apiKey","in":"header","name":"X-Signature"},)" +
           R"("recovery":{"type":"apiKey","in":"header","name":"X-Recovery-ID"},)" +
           R"("timestamp":{"type":"apiKey","in":"header","name":"X-Timestamp"}}}})";
}

}  // namespace vmm::http
