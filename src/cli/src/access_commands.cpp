#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/base/time.h"
#include "vmm/json/write.h"
#include "vmm/proofs/capability.h"

#include <cstdio>

#include "app.h"
#include "client.h"
#include "moment.h"
#include "output.h"

// Capabilities: rights that travel as a token.
namespace vmm::cli {
namespace {

struct GrantOptions {
    std::string vm;
    std::string address;
    std::string actions = "view,operate";
    std::string until = "24h";
};

// Signs one more link: the first of a machine, or one after those of the capability that one holds.
Result<void> grant(const Settings& settings, const GrantOptions& options) {
    const auto signatures = crypto::create_signatures();
    Client client{settings};
    TRY(const auto signer, client.signer());
    std::vector<proofs::Link> links;
    ports::Digest parent{};
    if (!settings.capability.empty()) {
        TRY(links, proofs::read_capability(*signatures, settings.capability));
        for (const auto& each : links) {
            parent = proofs::link_digest(*signatures, each, parent);
        }
    }
    proofs::Link link;
    link.vm = options.vm;
    if (!is_id("vm", link.vm)) {
        TRY(link.vm, client.resolve(options.vm));
    }
    auto to = signatures->parse_address(options.address);
    if (!to) {
        return fail(std::move(to).error().with_field("address"));
    }
    link.to = *to;
    link.actions = split(options.actions, ',');
    TRY(link.expires, moment(options.until));
    fill_random(link.nonce);
    link.signature = signer.sign_digest(proofs::link_digest(*signatures, link, parent));
    links.push_back(std::move(link));
    // What nobody would take is not given out.
    TRY(const auto said, proofs::verify_capability(*signatures, links, now().ms / 1000));
    (void)said;
    std::puts(proofs::write_capability(links).c_str());
    return {};
}

Result<void> revoke(const Settings& settings, const std::string& given) {
    TRY(const auto token, text_or_file(given));
    Client client{settings};
    json::Object body;
    body.emplace_back("capability", json::Value{token});
    TRY(const auto answer,
        client.call("POST", "/capabilities/revoke", json::compact(json::Value{std::move(body)})));
    print_object(settings, answer);
    return {};
}

}  // namespace

void Vmctl::add_access_commands() {
    auto* granting =
        command("grant", "Sign a capability: this address may do these actions with this machine until then");
    auto options = std::make_shared<GrantOptions>();
    granting->add_option("vm", options->vm, "Name or id; with an id nothing is sent anywhere")->required();
    granting->add_option("address", options->address, "Whom")->required();
    granting->add_option("--actions", options->actions, "view, operate, configure, own; separated by commas")
        ->capture_default_str();
    granting->add_option("--until", options->until, "When it ends: a time, or 30m, 12h, 7d")
        ->capture_default_str();
    action(granting, [this, options] { return grant(settings_, *options); });

    auto* revoking = command("revoke", "Call back a capability that you gave, or any on a machine of yours");
    auto token = std::make_shared<std::string>();
    revoking->add_option("capability", *token, "The capability, or a file that holds it")->required();
    action(revoking, [this, token] { return revoke(settings_, *token); });

    action(command("whoami", "Who you are to the service, and what proves it"), [this]() -> Result<void> {
        Client client{settings_};
        TRY(const auto answer, client.call("GET", "/auth/whoami"));
        print_object(settings_, answer);
        return {};
    });
}

}  // namespace vmm::cli
