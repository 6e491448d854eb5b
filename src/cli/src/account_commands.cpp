#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <cstdio>

#include "app.h"
#include "client.h"
#include "output.h"

namespace vmm::cli {
namespace {

struct AccountOptions {
    std::string address;
    std::optional<std::string> name;
    std::string status;
    std::optional<bool> administrator;
    std::vector<std::string> quotas;
};

Result<json::Value> quotas_of(const std::vector<std::string>& pairs) {
    json::Object quotas;
    for (const auto& pair : pairs) {
        const auto equals = pair.find('=');
        const auto most = equals == std::string::npos
                              ? std::nullopt
                              : parse_number<std::int64_t>(std::string_view{pair}.substr(equals + 1));
        if (!most || *most < 0) {
            return fail(Error{Code::invalid, "--quota expects KIND=NUMBER, found " + quote(pair)}.with_hint(
                "kinds: machines, vcpus, memory_mib, disk_bytes, images, forks; 0 is no limit"
            ));
        }
        quotas.emplace_back(pair.substr(0, equals), json::Value::integer(*most));
    }
    return json::Value{std::move(quotas)};
}

Result<void> put(const Settings& settings, const AccountOptions& options) {
    Client client{settings};
    TRY(const auto address, client.address_or_own(options.address));
    json::Object body;
    if (options.name) {
        body.emplace_back("name", json::Value{*options.name});
    }
    if (!options.status.empty()) {
        body.emplace_back("status", json::Value{options.status});
    }
    if (options.administrator) {
        body.emplace_back("administrator", json::Value{*options.administrator});
    }
    if (!options.quotas.empty()) {
        TRY(auto quotas, quotas_of(options.quotas));
        body.emplace_back("quotas", std::move(quotas));
    }
    TRY(const auto answer,
        client.call("PUT", "/accounts/" + address, json::compact(json::Value{std::move(body)})));
    print_object(settings, answer);
    return {};
}

}  // namespace

void Vmctl::add_account_commands() {
    auto* account = command("account", "Registered developers");
    account->require_subcommand(1);
    auto* showing =
        command("show", "Show an account with its usage and quotas; your own by default", account);
    auto whose = std::make_shared<std::string>();
    showing->add_option("address", *whose, "Its address");
    action(showing, [this, whose]() -> Result<void> {
        Client client{settings_};
        TRY(const auto address, client.address_or_own(*whose));
        TRY(const auto answer, client.call("GET", "/accounts/" + address));
        print_object(settings_, answer);
        return {};
    });

    auto* putting = command("put", "Register an account, or change it", account);
    auto options = std::make_shared<AccountOptions>();
    putting->add_option("address", options->address, "Its address; your own by default");
    putting->add_option("--name", options->name, "Display name");
    putting->add_option("--status", options->status, "active or suspended; for administrators")
        ->check(CLI::IsMember({"active", "suspended"}));
    putting->add_option("--administrator", options->administrator, "true or false; for administrators");
    putting->add_option(
        "--quota", options->quotas, "KIND=NUMBER, more than once; all that is not given is the host's default"
    );
    action(putting, [this, options] { return put(settings_, *options); });

    auto* removing = command("rm", "Remove an account that owns no machines", account);
    auto gone = std::make_shared<std::string>();
    removing->add_option("address", *gone, "Its address")->required();
    action(removing, [this, gone]() -> Result<void> {
        Client client{settings_};
        CHECK(client.call("DELETE", "/accounts/" + *gone));
        std::printf("%s removed\n", gone->c_str());
        return {};
    });
}

}  // namespace vmm::cli
