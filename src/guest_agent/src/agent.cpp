#include "agent.h"

#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/if_arp.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <map>

namespace vmm::guest_agent {
namespace {

bool is_frozen = false;

Outcome os_info() {
    utsname names{};
    ::uname(&names);
    return R"({"id":"tiny","name":"tiny","pretty-name":"vmm-service tiny guest","kernel-release":)" +
           json::text(names.release) + R"(,"machine":)" + json::text(names.machine) + "}";
}

Outcome host_name() {
    std::array<char, 256> name{};
    ::gethostname(name.data(), name.size() - 1);
    return R"({"host-name":)" + json::text(name.data()) + "}";
}

struct Seen {
    std::string mac;
    std::string addresses;
};

Outcome interfaces() {
    ifaddrs* all = nullptr;
    if (::getifaddrs(&all) != 0) {
        return fail(Code::unavailable, "the interfaces cannot be listed");
    }
    std::map<std::string, Seen> seen;
    for (const auto* one = all; one != nullptr; one = one->ifa_next) {
        if (one->ifa_addr == nullptr) {
            continue;
        }
        auto& place = seen[one->ifa_name];
        std::array<char, 64> text{};
        if (one->ifa_addr->sa_family == AF_PACKET) {
            const auto* link = reinterpret_cast<const sockaddr_ll*>(one->ifa_addr);
            const auto* m = link->sll_addr;
            std::snprintf(
                text.data(), text.size(), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]
            );
            place.mac = text.data();
            continue;
        }
        const bool v4 = one->ifa_addr->sa_family == AF_INET;
        const void* address =
            v4 ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr)
               : static_cast<const void*>(&reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr);
        if (::inet_ntop(one->ifa_addr->sa_family, address, text.data(), text.size()) != nullptr) {
            place.addresses.append(place.addresses.empty() ? "" : ",")
                .append(R"({"ip-address-type":)")
                .append(v4 ? R"("ipv4")" : R"("ipv6")")
                .append(R"(,"ip-address":)")
                .append(json::text(text.data()))
                .append("}");
        }
    }
    ::freeifaddrs(all);
    std::string out;
    for (const auto& [name, one] : seen) {
        out.append(out.empty() ? "" : ",").append(R"({"name":)").append(json::text(name));
        out.append(R"(,"hardware-address":)").append(json::text(one.mac));
        out.append(R"(,"ip-addresses":[)").append(one.addresses).append("]}");
    }
    return "[" + out + "]";
}

Outcome sync(const json::Value& arguments) {
    TRY(const auto id, number_in(arguments, "id"));
    return std::to_string(id);
}

// Everything is in memory, so there is nothing whose writes must stop; but between freeze and thaw this agent
// refuses what QEMU's would.
Outcome freeze_or_thaw(std::string_view command) {
    is_frozen = command == "guest-fsfreeze-freeze";
    return "0";
}

Outcome run(std::string_view command, const json::Value& arguments) {
    if (command == "guest-sync" || command == "guest-sync-delimited") {
        return sync(arguments);
    }
    if (command == "guest-ping") {
        return "{}";
    }
    if (command == "guest-fsfreeze-freeze" || command == "guest-fsfreeze-thaw") {
        return freeze_or_thaw(command);
    }
    if (is_frozen) {
        return fail(
            Code::conflict,
            "Command " + std::string{command} + " has been disabled: the agent is in frozen state"
        );
    }
    if (command == "guest-get-osinfo") {
        return os_info();
    }
    if (command == "guest-get-host-name") {
        return host_name();
    }
    if (command == "guest-network-get-interfaces") {
        return interfaces();
    }
    if (command == "guest-exec") {
        return exec(arguments);
    }
    if (command == "guest-exec-status") {
        return exec_status(arguments);
    }
    if (command == "guest-file-open") {
        return open_file(arguments);
    }
    if (command == "guest-file-read") {
        return read_file(arguments);
    }
    if (command == "guest-file-write") {
        return write_file(arguments);
    }
    if (command == "guest-file-close") {
        return close_file(arguments);
    }
    if (command == "guest-ssh-add-authorized-keys") {
        return add_ssh_keys(arguments);
    }
    if (command == "guest-shutdown") {
        return shut_down();
    }
    return fail(Code::not_found, "The command " + std::string{command} + " has not been found");
}

}  // namespace

Result<std::string> text_in(const json::Value& arguments, std::string_view name) {
    const auto* found = arguments.find(name);
    const auto* text = found == nullptr ? nullptr : found->as<std::string>();
    return text == nullptr ? fail(Code::invalid, "Parameter '" + std::string{name} + "' is missing")
                           : Result<std::string>{*text};
}

Result<std::int64_t> number_in(const json::Value& arguments, std::string_view name) {
    const auto* found = arguments.find(name);
    const auto* number = found == nullptr ? nullptr : found->as<json::Number>();
    const auto parsed = number == nullptr ? std::nullopt : parse_number<std::int64_t>(number->text);
    return parsed ? Result<std::int64_t>{*parsed}
                  : fail(Code::invalid, "Parameter '" + std::string{name} + "' is missing");
}

std::string answer(std::string_view line) {
    // Whoever connects anew sends this byte first.
    while (!line.empty() && static_cast<unsigned char>(line.front()) == 0xff) {
        line.remove_prefix(1);
    }
    const auto value = json::parse(line);
    if (!value) {
        return R"({"error":{"class":"GenericError","desc":"JSON parse error"}})"
               "\n";
    }
    static const json::Value none{json::Object{}};
    const auto* arguments = value->find("arguments");
    const auto command = value->text_or("execute", "");
    const auto outcome = run(command, arguments == nullptr ? none : *arguments);
    const std::string delimiter = command == "guest-sync-delimited" ? "\xff" : "";
    if (!outcome) {
        return R"({"error":{"class":"GenericError","desc":)" + json::text(outcome.error().message()) + "}}\n";
    }
    return delimiter + R"({"return":)" + *outcome + "}\n";
}

}  // namespace vmm::guest_agent
