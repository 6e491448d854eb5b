#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/base/time.h"
#include "vmm/domain/access.h"
#include "vmm/json/write.h"

#include <cstdio>

#include "app.h"
#include "client.h"
#include "moment.h"
#include "output.h"

// Who else may use a machine, and how it changes hands.
namespace vmm::cli {
namespace {

json::Value text(std::string value) {
    return json::Value{std::move(value)};
}

struct ShareOptions {
    std::string vm;
    std::string address;
    std::string role = "ReadOnly";
    std::string until;
};

Result<void> share(const Settings& settings, const ShareOptions& options) {
    Client client{settings};
    TRY(const auto id, client.resolve(options.vm));
    json::Object body;
    body.emplace_back("role", text(options.role));
    if (!options.until.empty()) {
        TRY(const auto until, moment(options.until));
        body.emplace_back("expires_at", text(rfc3339(Timestamp{until * 1000})));
    }
    const auto target = "/vms/" + id + "/collaborators/" + options.address;
    TRY(const auto answer, client.call("PUT", target, json::compact(json::Value{std::move(body)})));
    print_object(settings, answer);
    return {};
}

Result<void> list_shares(const Settings& settings, const std::string& vm) {
    Client client{settings};
    TRY(const auto id, client.resolve(vm));
    TRY(const auto answer, client.call("GET", "/vms/" + id + "/collaborators"));
    print_list(settings, answer, "collaborators", {"address", "role", "expires_at", "expired", "given_by"});
    return {};
}

// A machine that is offered to one is not in one's list yet.
Result<std::string> resolve_offered(Client& client, const std::string& name_or_id) {
    if (is_id("vm", name_or_id)) {
        return name_or_id;
    }
    TRY(const auto answer, client.call("GET", "/transfers"));
    const auto* offers = answer.find("transfers")->as<json::List>();
    std::vector<std::string> found;
    for (const auto& offer : *offers) {
        if (offer.text_or("name", "") == name_or_id) {
            found.emplace_back(offer.text_or("vm", ""));
        }
    }
    if (found.size() == 1) {
        return found.front();
    }
    return fail(Error{
        found.empty() ? Code::not_found : Code::conflict,
        std::to_string(found.size()) + " machines named " + quote(name_or_id) + " are offered"
    }
                    .with_hint("`vmctl transfers` shows them with their ids"));
}

struct TransferOptions {
    std::string vm;
    std::string to;
    std::string name;
    std::string acceptance;
    std::string until = "1h";
    bool keep = false;
};

Result<void> transfer(const Settings& settings, const TransferOptions& options) {
    Client client{settings};
    TRY(const auto id, client.resolve(options.vm));
    auto to = options.to;
    if (!to.starts_with("0x") && !is_id("team", to)) {
        TRY(to, client.resolve_team(to));
    }
    json::Object body;
    body.emplace_back("to", text(to));
    body.emplace_back("keep_collaborators", json::Value{options.keep});
    if (!options.acceptance.empty()) {
        body.emplace_back("acceptance", text(options.acceptance));
    }
    TRY(const auto answer,
        client.call("POST", "/vms/" + id + "/transfer", json::compact(json::Value{std::move(body)})));
    if (settings.output == "json") {
        print_json(answer);
    } else if (options.acceptance.empty()) {
        std::printf(
            "%s is offered to %s, who takes it over with `vmctl accept %s`\n",
            id.c_str(),
            to.c_str(),
            id.c_str()
        );
    } else {
        std::printf("%s belongs to %s\n", id.c_str(), to.c_str());
    }
    return {};
}

Result<void> accept(const Settings& settings, const TransferOptions& options) {
    Client client{settings};
    TRY(const auto id, resolve_offered(client, options.vm));
    json::Object body;
    if (!options.name.empty()) {
        body.emplace_back("name", text(options.name));
    }
    TRY(const auto answer,
        client.call("POST", "/vms/" + id + "/transfer/accept", json::compact(json::Value{std::move(body)})));
    print_object(settings, answer);
    return {};
}

// Signed here, sent by the giver.
Result<void> sign_acceptance(const Settings& settings, const TransferOptions& options) {
    Client client{settings};
    if (!is_id("vm", options.vm)) {
        return fail(Error{Code::invalid, "expected the machine's id, found " + quote(options.vm)}.with_hint(
            "its owner sees it in `vmctl ls -o json`"
        ));
    }
    TRY(const auto until, moment(options.until));
    TRY(const auto to, client.address_or_own(options.to));
    TRY(const auto signer, client.signer());
    const auto signature = signer.sign(domain::acceptance_text(options.vm, to, until));
    std::printf(
        "%lld:0x%s%02x\n",
        static_cast<long long>(until),
        to_hex(signature.rs).c_str(),
        27 + signature.recovery_id
    );
    return {};
}

}  // namespace

void Vmctl::add_sharing_commands() {
    auto* sharing = command("share", "Give an address a role on a machine, or change it");
    auto share_options = std::make_shared<ShareOptions>();
    sharing->add_option("vm", share_options->vm, "Name or id")->required();
    sharing->add_option("address", share_options->address, "Whom")->required();
    sharing->add_option("role", share_options->role, "ReadOnly, Operator, Manager or Owner")
        ->check(CLI::IsMember({"ReadOnly", "Operator", "Manager", "Owner"}))
        ->capture_default_str();
    sharing->add_option("--until", share_options->until, "When it ends: a time, or 30m, 12h, 7d");
    action(sharing, [this, share_options] { return share(settings_, *share_options); });

    auto* ending = command("unshare", "End the role of an address on a machine; your own by default");
    auto gone = std::make_shared<ShareOptions>();
    ending->add_option("vm", gone->vm, "Name or id")->required();
    ending->add_option("address", gone->address, "Whose");
    action(ending, [this, gone]() -> Result<void> {
        Client client{settings_};
        TRY(const auto id, client.resolve(gone->vm));
        TRY(const auto address, client.address_or_own(gone->address));
        CHECK(client.call("DELETE", "/vms/" + id + "/collaborators/" + address));
        std::printf("%s has no role on %s any more\n", address.c_str(), gone->vm.c_str());
        return {};
    });

    auto* listing = command("shares", "Who has which role on a machine, beside its owner");
    auto whose = std::make_shared<std::string>();
    listing->add_option("vm", *whose, "Name or id")->required();
    action(listing, [this, whose] { return list_shares(settings_, *whose); });
}

void Vmctl::add_transfer_commands() {
    auto* giving = command("transfer", "Offer a machine to an account or a team");
    auto given = std::make_shared<TransferOptions>();
    giving->add_option("vm", given->vm, "Name or id")->required();
    giving->add_option("to", given->to, "An address, a team's id, or the name of one of your teams")
        ->required();
    giving->add_flag("--keep-collaborators", given->keep, "Those who have a role on it keep it");
    giving->add_option(
        "--acceptance",
        given->acceptance,
        "What the receiver's `vmctl acceptance` printed: then it is theirs at once"
    );
    action(giving, [this, given] { return transfer(settings_, *given); });

    action(command("transfers", "Machines that are offered to you, or by you"), [this]() -> Result<void> {
        Client client{settings_};
        TRY(const auto answer, client.call("GET", "/transfers"));
        print_list(settings_, answer, "transfers", {"vm", "name", "owner", "team", "to", "offered_at"});
        return {};
    });

    auto* taking = command("accept", "Take over a machine that is offered to you or your team");
    auto taken = std::make_shared<TransferOptions>();
    taking->add_option("vm", taken->vm, "Name or id")->required();
    taking->add_option("--name", taken->name, "Another name for it");
    action(taking, [this, taken] { return accept(settings_, *taken); });

    auto* declining =
        command("decline", "Decline a machine that is offered to you, or take your own offer back");
    auto declined = std::make_shared<std::string>();
    declining->add_option("vm", *declined, "Name or id")->required();
    action(declining, [this, declined]() -> Result<void> {
        Client client{settings_};
        TRY(const auto id, resolve_offered(client, *declined));
        CHECK(client.call("DELETE", "/vms/" + id + "/transfer"));
        std::printf("%s is no longer offered\n", id.c_str());
        return {};
    });

    auto* signing = command("acceptance", "Sign that you take a machine over, for its owner to send");
    auto word = std::make_shared<TransferOptions>();
    signing->add_option("vm", word->vm, "The machine's id")->required();
    signing->add_option("--for", word->to, "A team's id; you by default");
    signing->add_option("--until", word->until, "When it ends: a time, or 30m, 12h, 7d")
        ->capture_default_str();
    action(signing, [this, word] { return sign_acceptance(settings_, *word); });
}

}  // namespace vmm::cli
