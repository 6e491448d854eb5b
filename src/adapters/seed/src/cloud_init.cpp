#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include "parts.h"

namespace vmm::seed {
namespace {

constexpr std::string_view boundary = "==vmm-service-part==";

using json::list;
using json::text;

std::string_view flag(bool value) {
    return value ? "true" : "false";
}

std::string user(const domain::FormfileUser& who) {
    std::string out = R"({"name":)" + text(who.username) + R"(,"shell":)" + text(who.shell) +
                      R"(,"lock_passwd":)" + std::string{flag(who.lock_passwd)};
    if (!who.passwd.empty()) {
        out += R"(,"hashed_passwd":)" + text(who.passwd);
    }
    if (who.sudo) {
        out += R"(,"sudo":"ALL=(ALL) NOPASSWD:ALL")";
    }
    if (!who.groups.empty()) {
        out += R"(,"groups":)" + list(who.groups);
    }
    if (!who.ssh_authorized_keys.empty()) {
        out += R"(,"ssh_authorized_keys":)" + list(who.ssh_authorized_keys);
    }
    return out + "}";
}

// What the service itself asks of cloud-init.
std::string cloud_config(const ports::Seed& seed) {
    std::string out = R"({"hostname":)" + text(seed.hostname) + R"(,"preserve_hostname":false)" +
                      R"(,"growpart":{"mode":"auto","devices":["/"]},"resize_rootfs":true)";
    const auto& users = seed.formfile.users;
    if (!users.empty()) {
        std::string all = R"(["default")";
        bool password_logins = true;
        bool no_root = true;
        bool expire = true;
        for (const auto& each : users) {
            all.append(",").append(user(each));
            password_logins &= each.ssh_pwauth;
            no_root &= each.disable_root;
            expire &= each.chpasswd_expire;
        }
        out += R"(,"users":)" + all + R"(],"ssh_pwauth":)" + std::string{flag(password_logins)} +
               R"(,"disable_root":)" + std::string{flag(no_root)} + R"(,"chpasswd":{"expire":)" +
               std::string{flag(expire)} + "}";
    }
    if (!seed.ssh_keys.empty()) {
        out += R"(,"ssh_authorized_keys":)" + list(seed.ssh_keys);
        out += users.empty() ? R"(,"disable_root":false)" : "";
    }
    return out + "}";
}

void part(
    std::string& out,
    std::string_view type,
    std::string_view name,
    std::string_view content,
    bool merges
) {
    out.append("--").append(boundary).append("\nContent-Type: ").append(type);
    out.append("; charset=\"utf-8\"\nMIME-Version: 1.0\n");
    if (merges) {
        out.append("Merge-Type: list(append)+dict(no_replace,recurse_list)+str()\n");
    }
    out.append("Content-Disposition: attachment; filename=\"").append(name).append("\"\n\n");
    out.append(content).append("\n");
}

// The MIME type of what a user gave, by its first line as cloud-init has it.
std::string_view type_of(std::string_view given) {
    if (given.starts_with("#!")) {
        return "text/x-shellscript";
    }
    if (given.starts_with("#include")) {
        return "text/x-include-url";
    }
    if (given.starts_with("#cloud-boothook")) {
        return "text/cloud-boothook";
    }
    return "text/cloud-config";
}

}  // namespace

std::string meta_data(const ports::Seed& seed) {
    std::string out =
        R"({"instance-id":)" + text(seed.instance_id) + R"(,"local-hostname":)" + text(seed.hostname);
    if (!seed.ssh_keys.empty()) {
        out += R"(,"public-keys":)" + list(seed.ssh_keys);
    }
    if (!seed.invitation.empty()) {
        out += R"(,"formnet-invitation":)" + text(seed.invitation);
    }
    return out + "}\n";
}

std::string user_data(const ports::Seed& seed) {
    std::string out =
        "Content-Type: multipart/mixed; boundary=\"" + std::string{boundary} + "\"\nMIME-Version: 1.0\n\n";
    part(out, "text/cloud-config", "vmm.cfg", "#cloud-config\n" + cloud_config(seed), true);
    if (!seed.user_data.empty()) {
        part(out, type_of(seed.user_data), "user-data", seed.user_data, true);
    }
    // Runs after everything that the user's own parts run.
    part(out, "text/x-shellscript", "zz-vmm-service", report_script(), false);
    return out + "--" + std::string{boundary} + "--\n";
}

std::string network_config(const ports::Seed& seed) {
    std::string interfaces;
    std::size_t number = 0;
    for (const auto& each : seed.interfaces) {
        const auto& interface = each.interface;
        std::string one = text("vmm" + std::to_string(number++)) + R"(:{"match":{"macaddress":)" +
                          text(interface.mac) + "}";
        const bool fixed = each.network.routed() && !each.network.dhcp && interface.ip4;
        if (fixed) {
            const auto gateway = domain::text(each.network.range.gateway());
            one += R"(,"addresses":[)" +
                   text(domain::text(*interface.ip4) + "/" + std::to_string(each.network.range.prefix)) +
                   R"(],"nameservers":{"addresses":[)" + text(gateway) + "]}";
            if (each.network.kind == domain::NetworkKind::bridge) {
                one += R"(,"routes":[{"to":"0.0.0.0/0","via":)" + text(gateway) + "}]";
            }
        } else {
            one += R"(,"dhcp4":true)";
        }
        if (each.network.mtu != domain::default_mtu) {
            one += R"(,"mtu":)" + std::to_string(each.network.mtu);
        }
        interfaces.append(interfaces.empty() ? "" : ",").append(one).append("}");
    }
    return R"({"version":2,"ethernets":{)" + interfaces + "}}\n";
}

}  // namespace vmm::seed
