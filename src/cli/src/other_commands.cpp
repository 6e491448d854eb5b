#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <cstdio>
#include <iostream>
#include <iterator>

#include "app.h"
#include "client.h"
#include "keys.h"
#include "output.h"

namespace vmm::cli {
namespace {

struct KeyOptions {
    std::string name = "default";
    std::string file;
    bool plain = false;
    bool reveal = false;
};

Result<void> keep(const Settings& settings, const KeyOptions& options, const crypto::Signer& signer) {
    std::string secret;
    if (!options.plain) {
        TRY(secret, password(settings, Purpose::fresh));
    }
    TRY(const auto key, store_key(options.name, signer, options.plain, secret));
    if (settings.output == "json") {
        json::Object out;
        out.emplace_back("name", json::Value{key.name});
        out.emplace_back("address", json::Value{key.address});
        out.emplace_back("file", json::Value{key.file.string()});
        print_json(json::Value{std::move(out)});
    } else {
        std::printf("%s %s\n", key.name.c_str(), key.address.c_str());
    }
    return {};
}

Result<void> import(const Settings& settings, const KeyOptions& options) {
    std::string content;
    if (options.file == "-") {
        content.assign(std::istreambuf_iterator<char>{std::cin}, {});
    } else {
        TRY(content, read_file(options.file));
    }
    TRY(const auto signer, read_key(content, settings));
    return keep(settings, options, signer);
}

Result<void> list_keys(const Settings& settings) {
    json::List keys;
    std::vector<std::vector<std::string>> rows;
    for (const auto& key : stored_keys()) {
        rows.push_back({key.name, key.address, key.plain ? "plain" : "encrypted"});
        json::Object one;
        one.emplace_back("name", json::Value{key.name});
        one.emplace_back("address", json::Value{key.address});
        one.emplace_back("plain", json::Value{key.plain});
        keys.emplace_back(std::move(one));
    }
    if (settings.output == "json") {
        print_json(json::Value{std::move(keys)});
    } else {
        print_table({"NAME", "ADDRESS", "KIND"}, rows);
    }
    return {};
}

Result<void> show_key(const Settings& settings, const KeyOptions& options) {
    for (const auto& key : stored_keys()) {
        if (key.name != options.name) {
            continue;
        }
        std::puts(key.address.c_str());
        if (options.reveal) {
            Settings named = settings;
            named.key = options.name;
            TRY(const auto signer, load_key(named));
            std::printf("0x%s\n", to_hex(signer.bytes()).c_str());
        }
        return {};
    }
    return fail(Error{Code::not_found, "there is no key " + quote(options.name)}.with_hint(
        "`vmctl keys list` shows yours"
    ));
}

Result<void> operations(const Settings& settings, const std::string& id, int wait_s) {
    Client client{settings};
    if (id.empty()) {
        TRY(const auto page, client.call("GET", "/operations?limit=100"));
        print_operations(settings, page);
        return {};
    }
    client.set_doing("waiting for " + id);
    TRY(const auto operation,
        client.call("GET", "/operations/" + id + (wait_s > 0 ? "?wait=" + std::to_string(wait_s) : "")));
    print_object(settings, operation);
    return {};
}

Result<void> health(const Settings& settings) {
    Client client{settings};
    TRY(const auto answer, client.call_unsigned("GET", "/health"));
    const auto status = answer.text_or("status", "");
    if (settings.output == "json") {
        print_json(answer);
    } else {
        std::vector<std::vector<std::string>> rows;
        for (const auto& [what, check] : *answer.find("checks")->as<json::Object>()) {
            rows.push_back({what, shown(check, "status"), shown(check, "detail")});
        }
        std::printf(
            "%s, version %s, up %s s\n",
            std::string{status}.c_str(),
            shown(answer, "version").c_str(),
            shown(answer, "uptime_s").c_str()
        );
        print_table({"CHECK", "STATUS", "DETAIL"}, rows);
    }
    return status == "unhealthy" ? fail(Error{Code::unavailable, "the service is unhealthy"})
                                 : Result<void>{};
}

}  // namespace

void Vmctl::add_key_commands() {
    auto* keys = command("keys", "Your keys");
    keys->require_subcommand(1);
    const auto common = [](CLI::App* to, const std::shared_ptr<KeyOptions>& options) {
        to->add_flag("--plain", options->plain, "Store the key without encryption");
    };
    auto* making = command("new", "Make a key", keys);
    auto fresh = std::make_shared<KeyOptions>();
    making->add_option("name", fresh->name, "Its name")->capture_default_str();
    common(making, fresh);
    action(making, [this, fresh] { return keep(settings_, *fresh, crypto::Signer::generate()); });

    auto* importing =
        command("import", "Take in a key file (Web3 Secret Storage version 3) or 64 hex digits", keys);
    auto taken = std::make_shared<KeyOptions>();
    importing->add_option("file", taken->file, "The file, or - for standard input")->required();
    importing->add_option("--name", taken->name, "Its name")->capture_default_str();
    common(importing, taken);
    action(importing, [this, taken] { return import(settings_, *taken); });

    action(command("list", "List keys", keys), [this] { return list_keys(settings_); });

    auto* showing = command("show", "Show a key's address", keys);
    auto shown_key = std::make_shared<KeyOptions>();
    showing->add_option("name", shown_key->name, "Its name")->capture_default_str();
    showing->add_flag("--reveal", shown_key->reveal, "Also print the private key");
    action(showing, [this, shown_key] { return show_key(settings_, *shown_key); });
}

void Vmctl::add_service_commands() {
    auto* ops = command("ops", "Your operations, or one of them");
    auto id = std::make_shared<std::string>();
    auto wait_s = std::make_shared<int>(0);
    ops->add_option("operation", *id, "Its id");
    ops->add_option("--wait", *wait_s, "Seconds to wait for its end")->check(CLI::Range(0, 300));
    action(ops, [this, id, wait_s] { return operations(settings_, *id, *wait_s); });

    action(command("health", "Whether the service can do its work"), [this] { return health(settings_); });

    auto* completing = command("completion", "Print a completion script");
    auto shell = std::make_shared<std::string>();
    completing->add_option("shell", *shell, "bash or zsh")->required()->check(CLI::IsMember({"bash", "zsh"}));
    action(completing, [this, shell]() -> Result<void> {
        std::fputs(completion_script(*app_, *shell).c_str(), stdout);
        return {};
    });
    action(command("man", "Print the manual page (troff)"), [this]() -> Result<void> {
        std::fputs(manual_page(*app_).c_str(), stdout);
        return {};
    });
}

}  // namespace vmm::cli
