#include "metadata.h"

#include "vmm/app/guests.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"

#include <algorithm>
#include <array>

#include "handlers.h"
#include "reply.h"

namespace vmm::http {
namespace {

constexpr std::string_view plain_text = "text/plain; charset=utf-8";
constexpr int token_seconds_most = 21600;

std::unexpected<Error> nothing_at(const Request& request) {
    return fail(Error{Code::not_found, "there is nothing at " + quote(request.path)}.with_slug("no-such-route"
    ));
}

Reply text_reply(std::string body) {
    Reply reply;
    reply.content_type = plain_text;
    reply.body = std::move(body);
    return reply;
}

std::string joined(const std::vector<std::string>& lines) {
    std::string out;
    for (const auto& line : lines) {
        out.append(out.empty() ? "" : "\n").append(line);
    }
    return out;
}

// EC2's tree below meta-data/, as far as a machine of ours has it.
std::optional<std::string> ec2_value(const ports::Seed& seed, std::string_view path) {
    const auto& interfaces = seed.interfaces;
    const auto has_address =
        std::ranges::find_if(interfaces, [](const auto& each) { return each.interface.ip4.has_value(); });
    const auto address =
        has_address == interfaces.end() ? std::string{} : domain::text(*has_address->interface.ip4);
    const auto mac = interfaces.empty() ? std::string{} : interfaces.front().interface.mac;
    if (path.empty()) {
        std::vector<std::string> names{
            "hostname", "instance-id", "local-hostname", "local-ipv4", "mac", "network/"
        };
        if (!seed.ssh_keys.empty()) {
            names.emplace_back("public-keys/");
        }
        return joined(names);
    }
    if (path == "instance-id") {
        return seed.instance_id;
    }
    if (path == "hostname" || path == "local-hostname") {
        return seed.hostname;
    }
    if (path == "local-ipv4" && !address.empty()) {
        return address;
    }
    if (path == "mac") {
        return mac;
    }
    if (path == "ami-launch-index") {
        return "0";
    }
    if (path == "public-keys" || path == "public-keys/") {
        std::vector<std::string> names;
        for (std::size_t i = 0; i < seed.ssh_keys.size(); ++i) {
            names.push_back(std::to_string(i) + "=key-" + std::to_string(i));
        }
        return names.empty() ? std::nullopt : std::optional{joined(names)};
    }
    constexpr std::string_view keys = "public-keys/";
    if (path.starts_with(keys)) {
        const auto rest = path.substr(keys.size());
        const auto number = parse_number<std::size_t>(rest.substr(0, rest.find('/')));
        if (!number || *number >= seed.ssh_keys.size()) {
            return std::nullopt;
        }
        const auto below = rest.contains('/') ? rest.substr(rest.find('/') + 1) : std::string_view{};
        return below.empty()            ? std::optional<std::string>{"openssh-key"}
               : below == "openssh-key" ? std::optional{seed.ssh_keys[*number]}
                                        : std::nullopt;
    }
    constexpr std::string_view macs = "network/interfaces/macs/";
    if (path == "network/" || path == "network") {
        return "interfaces/";
    }
    if (path == "network/interfaces/" || path == "network/interfaces") {
        return "macs/";
    }
    if (path == macs || path == macs.substr(0, macs.size() - 1)) {
        std::vector<std::string> names;
        for (const auto& each : interfaces) {
            names.push_back(each.interface.mac + "/");
        }
        return joined(names);
    }
    for (const auto& each : interfaces) {
        const auto prefix = std::string{macs} + each.interface.mac;
        if (!path.starts_with(prefix)) {
            continue;
        }
        const auto below =
            path.size() > prefix.size() + 1 ? path.substr(prefix.size() + 1) : std::string_view{};
        if (below.empty()) {
            return each.interface.ip4 ? "local-ipv4s\nmac\nsubnet-ipv4-cidr-block" : "mac";
        }
        if (below == "mac") {
            return each.interface.mac;
        }
        if (below == "local-ipv4s" && each.interface.ip4) {
            return domain::text(*each.interface.ip4);
        }
        if (below == "subnet-ipv4-cidr-block" && each.network.routed()) {
            return domain::text(each.network.range);
        }
    }
    return std::nullopt;
}

// EC2's sessions: a token is given to whoever asks, as the address says already who it is.
Result<Reply> ec2_token(const Request& request) {
    const auto* said = request.header("x-aws-ec2-metadata-token-ttl-seconds");
    const auto seconds = said == nullptr ? std::nullopt : parse_number<int>(*said);
    if (!seconds || *seconds < 1 || *seconds > token_seconds_most) {
        return fail(Error{Code::malformed, "expected X-aws-ec2-metadata-token-ttl-seconds from 1 to 21600"}
                        .with_field("X-aws-ec2-metadata-token-ttl-seconds"));
    }
    auto reply = text_reply(random_text(32));
    reply.headers.emplace_back("X-aws-ec2-metadata-token-ttl-seconds", std::to_string(*seconds));
    return reply;
}

// What comes after the version of EC2's paths: "latest" or a date.
std::optional<std::string_view> below_version(std::string_view path) {
    path.remove_prefix(1);
    const auto version = path.substr(0, path.find('/'));
    const bool dated = version.size() == 10 && version[4] == '-' && version[7] == '-';
    if (version != "latest" && !dated) {
        return std::nullopt;
    }
    return path.size() > version.size() ? path.substr(version.size() + 1) : std::string_view{};
}

Result<Reply>
ec2(const Service& service, const Request& request, const ports::Seed& seed, std::string_view below) {
    if (below.empty()) {
        return text_reply("meta-data\nuser-data");
    }
    if (below == "user-data") {
        return text_reply(service.world.seeds.user_data(seed));
    }
    constexpr std::string_view tree = "meta-data";
    if (below == tree || below.starts_with("meta-data/")) {
        const auto path = below.size() > tree.size() ? below.substr(tree.size() + 1) : std::string_view{};
        if (auto value = ec2_value(seed, path)) {
            return text_reply(*std::move(value));
        }
    }
    return nothing_at(request);
}

}  // namespace

Task<Reply> serve_metadata(Service& service, Request& request) {
    if (request.path == "/vm/boot_complete" && request.method == "POST") {
        co_return co_await boot_complete(service, request);
    }
    const bool reads = request.method == "GET" || request.method == "HEAD";
    const bool wants_token = request.method == "PUT" && request.path == "/latest/api/token";
    if (!reads && !wants_token) {
        co_return fail(Code::method_not_allowed, request.method + " is not possible here, but GET");
    }
    CO_TRY(
        const auto seed, co_await on_application(service, service.guests.seed_at(request.peer, request.path))
    );
    if (wants_token) {
        co_return ec2_token(request);
    }
    const auto& seeds = service.world.seeds;
    if (request.path == "/") {
        co_return text_reply("latest");
    }
    if (request.path == "/meta-data") {
        co_return text_reply(seeds.meta_data(seed));
    }
    if (request.path == "/user-data") {
        co_return text_reply(seeds.user_data(seed));
    }
    if (request.path == "/vendor-data") {
        co_return text_reply("");
    }
    if (request.path == "/network-config") {
        co_return text_reply(seeds.network_config(seed));
    }
    const auto below = below_version(request.path);
    if (!below) {
        co_return nothing_at(request);
    }
    co_return ec2(service, request, seed, *below);
}

}  // namespace vmm::http
