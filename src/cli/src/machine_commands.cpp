#include "vmm/base/files.h"
#include "vmm/base/ids.h"
#include "vmm/base/text.h"
#include "vmm/domain/formfile.h"
#include "vmm/json/write.h"

#include <cstdio>
#include <filesystem>
#include <thread>

#include "app.h"
#include "client.h"
#include "context.h"
#include "output.h"

namespace vmm::cli {
namespace {

json::Value text(std::string value) {
    return json::Value{std::move(value)};
}

json::Value labels_of(const std::vector<std::string>& pairs) {
    json::Object labels;
    for (const auto& pair : pairs) {
        const auto equals = pair.find('=');
        labels.emplace_back(
            pair.substr(0, equals), text(equals == std::string::npos ? "" : pair.substr(equals + 1))
        );
    }
    return json::Value{std::move(labels)};
}

struct CreateOptions {
    std::string name;
    std::vector<std::string> words;  // name and build context, in whichever order
    std::string context;
    std::vector<std::string> networks;
    std::string address;
    std::vector<std::string> gpus;
    std::vector<std::string> ssh_keys;
    std::string user_data;
    std::string image;
    std::optional<std::int64_t> vcpus;
    std::optional<std::int64_t> memory_mib;
    std::optional<std::int64_t> disk_gib;
    std::vector<std::string> labels;
    std::string formfile;
    std::string team;
    std::string idempotency_key;
    bool no_start = false;
    bool wait = false;
    bool async = false;
};

// Asks for the machine until it is as wanted.
Result<json::Value>
wait_until(Client& client, const Settings& settings, const std::string& id, const std::string& what) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{settings.timeout_s};
    while (true) {
        const auto vm = client.call("GET", "/vms/" + id);
        if (!vm && what == "deleted" && vm.error().code() == Code::not_found) {
            return json::Value{};
        }
        if (!vm) {
            return vm;
        }
        const auto status = vm->text_or("status", "");
        if (what == "boot" ? !vm->find("boot_completed_at")->is_null() : status == what) {
            return vm;
        }
        if (status == "failed" && what != "failed") {
            return fail(Error{Code::conflict, "the machine has failed: " + shown(*vm, "status_reason")}
                            .with_slug("machine-failed"));
        }
        if (std::chrono::steady_clock::now() >= until) {
            return fail(
                Code::timed_out,
                "the machine is " + std::string{status} + " after " + std::to_string(settings.timeout_s) +
                    " s, not " + what
            );
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{50});
    }
}

// The words of the command line: a folder is the build context, the other one is the name; without it the
// Formfile's NAME is.
Result<CreateOptions> settled(CreateOptions options) {
    for (const auto& word : options.words) {
        std::error_code failed;
        const bool folder = word == "." || word.contains('/') || std::filesystem::is_directory(word, failed);
        auto& place = folder && !options.formfile.empty() ? options.context : options.name;
        if (!place.empty()) {
            return fail(
                Code::invalid, "expected a name and a folder at most, found " + quote(word) + " as well"
            );
        }
        place = word;
    }
    if (options.name.empty() && !options.formfile.empty()) {
        TRY(const auto text, read_file(options.formfile));
        TRY(const auto formfile, domain::parse_formfile(text));
        options.name = formfile.name;
    }
    if (options.name.empty()) {
        return fail(Error{Code::invalid, "the machine needs a name"}.with_hint(
            "vmctl create NAME, or NAME in the Formfile"
        ));
    }
    return options;
}

Result<void> add_guest(json::Object& body, const CreateOptions& options) {
    json::List networks;
    for (const auto& name : options.networks) {
        json::Object one;
        one.emplace_back("network", text(name));
        if (networks.empty() && !options.address.empty()) {
            one.emplace_back("address", text(options.address));
        }
        networks.emplace_back(std::move(one));
    }
    if (!networks.empty()) {
        body.emplace_back("networks", json::Value{std::move(networks)});
    }
    json::List gpus;
    for (const auto& gpu : options.gpus) {
        const auto colon = gpu.find(':');
        json::Object one;
        one.emplace_back("model", text(gpu.substr(0, colon)));
        if (colon != std::string::npos) {
            const auto count = parse_number<std::int64_t>(std::string_view{gpu}.substr(colon + 1));
            if (!count) {
                return fail(Error{Code::invalid, "expected MODEL or MODEL:COUNT, found " + quote(gpu)}
                                .with_field("--gpu"));
            }
            one.emplace_back("count", json::Value::integer(*count));
        }
        gpus.emplace_back(std::move(one));
    }
    if (!gpus.empty()) {
        body.emplace_back("gpus", json::Value{std::move(gpus)});
    }
    json::List keys;
    for (const auto& file : options.ssh_keys) {
        TRY(const auto content, read_file(file));
        for (const auto& line : split(content, '\n')) {
            if (!trim(line).empty() && !line.starts_with('#')) {
                keys.push_back(text(std::string{trim(line)}));
            }
        }
    }
    if (!keys.empty()) {
        body.emplace_back("ssh_keys", json::Value{std::move(keys)});
    }
    if (!options.user_data.empty()) {
        TRY(auto content, read_file(options.user_data));
        body.emplace_back("user_data", text(std::move(content)));
    }
    return {};
}

Result<void> create(const Settings& settings, const CreateOptions& wanted) {
    TRY(const auto options, settled(wanted));
    json::Object body;
    body.emplace_back("name", text(options.name));
    if (!options.image.empty()) {
        body.emplace_back("image", text(options.image));
    }
    const auto number = [&body](const char* name, const std::optional<std::int64_t>& value) {
        if (value) {
            body.emplace_back(name, json::Value::integer(*value));
        }
    };
    number("vcpus", options.vcpus);
    number("memory_mib", options.memory_mib);
    number("disk_gib", options.disk_gib);
    if (!options.labels.empty()) {
        body.emplace_back("labels", labels_of(options.labels));
    }
    if (!options.formfile.empty()) {
        TRY(auto formfile, read_file(options.formfile));
        body.emplace_back("formfile", text(std::move(formfile)));
    }
    CHECK(add_guest(body, options));
    if (options.no_start) {
        body.emplace_back("start", json::Value{false});
    }
    Client client{settings};
    client.set_doing("creating " + options.name);
    if (!options.team.empty()) {
        TRY(auto team, client.resolve_team(options.team));
        body.emplace_back("team", text(std::move(team)));
    }
    client.set_header(
        "Idempotency-Key", options.idempotency_key.empty() ? new_id("try") : options.idempotency_key
    );
    if (options.async) {
        client.set_header("Prefer", "respond-async");
    }
    const auto order = json::compact(json::Value{std::move(body)});
    json::Value answer;
    if (options.context.empty()) {
        TRY(answer, client.call("POST", "/vms", order));
    } else {
        TRY(const auto form, form_with_context(order, options.context));
        TRY(answer, client.call_with("POST", "/vms", form.content_type, form.body));
    }
    if (options.wait && !options.no_start) {
        const auto id = std::string{answer.text_or(options.async ? "target" : "id", "")};
        Client waiting{settings};
        waiting.set_doing("waiting for " + options.name + " to boot");
        TRY(answer, wait_until(waiting, settings, id, "boot"));
    }
    print_object(settings, answer);
    return {};
}

struct ListOptions {
    std::string status;
    std::string label;
    std::string owner;
    std::string team;
    bool names_only = false;
};

Result<void> list(const Settings& settings, const ListOptions& options) {
    Client client{settings};
    json::List vms;
    std::string cursor;
    std::string team;
    if (!options.team.empty()) {
        TRY(team, client.resolve_team(options.team));
    }
    do {
        std::string target = "/vms?limit=1000";
        const auto add = [&target](const char* name, const std::string& value) {
            target.append(value.empty() ? "" : std::string{"&"} + name + "=" + query_escaped(value));
        };
        add("status", options.status);
        add("label", options.label);
        add("owner", options.owner);
        add("team", team);
        add("cursor", cursor);
        TRY(const auto page, client.call("GET", target));
        for (const auto& vm : *page.find("vms")->as<json::List>()) {
            vms.push_back(vm);
        }
        cursor = page.text_or("next_cursor", "");
    } while (!cursor.empty());
    if (options.names_only) {
        for (const auto& vm : vms) {
            std::puts(std::string{vm.text_or("name", "")}.c_str());
        }
        return {};
    }
    json::Object all;
    all.emplace_back("vms", json::Value{std::move(vms)});
    print_vms(settings, json::Value{std::move(all)});
    return {};
}

Result<void> show(const Settings& settings, const std::string& name) {
    Client client{settings};
    TRY(const auto id, client.resolve(name));
    TRY(const auto vm, client.call("GET", "/vms/" + id));
    print_object(settings, vm);
    return {};
}

Result<void>
remove(const Settings& settings, const std::vector<std::string>& names, bool force, bool volumes) {
    for (const auto& name : names) {
        Client client{settings};
        client.set_doing("deleting " + name);
        TRY(const auto id, client.resolve(name));
        CHECK(client.call(
            "DELETE",
            "/vms/" + id + "?force=" + (force ? "true" : "false") + "&volumes=" + (volumes ? "true" : "false")
        ));
        std::printf("%s deleted\n", name.c_str());
    }
    return {};
}

struct PowerOptions {
    std::vector<std::string> names;
    bool force = false;
    bool async = false;
    std::optional<std::int64_t> grace_s;
};

Result<void> power(const Settings& settings, const PowerOptions& options, const std::string& verb) {
    for (const auto& name : options.names) {
        Client client{settings};
        client.set_doing(verb + " " + name);
        if (options.async) {
            client.set_header("Prefer", "respond-async");
        }
        TRY(const auto id, client.resolve(name));
        json::Object body;
        if (options.force) {
            body.emplace_back("force", json::Value{true});
        }
        if (options.grace_s) {
            body.emplace_back("timeout_s", json::Value::integer(*options.grace_s));
        }
        TRY(const auto answer,
            client.call("POST", "/vms/" + id + "/" + verb, json::compact(json::Value{std::move(body)})));
        if (settings.output == "json") {
            print_json(answer);
        } else {
            std::printf("%s %s\n", name.c_str(), shown(answer, "status").c_str());
        }
    }
    return {};
}

Result<void> change(
    const Settings& settings,
    const std::string& name,
    const std::string& new_name,
    const std::vector<std::string>& labels,
    std::optional<std::int64_t> disk_gib
) {
    Client client{settings};
    TRY(const auto id, client.resolve(name));
    json::Object body;
    if (!new_name.empty()) {
        body.emplace_back("name", text(new_name));
    }
    if (!labels.empty()) {
        body.emplace_back("labels", labels_of(labels));
    }
    if (disk_gib) {
        body.emplace_back("disk_gib", json::Value::integer(*disk_gib));
    }
    TRY(const auto vm, client.call("PATCH", "/vms/" + id, json::compact(json::Value{std::move(body)})));
    print_object(settings, vm);
    return {};
}

}  // namespace

void Vmctl::add_machine_commands() {
    auto* creating = command("create", "Create a machine and boot it");
    auto options = std::make_shared<CreateOptions>();
    creating
        ->add_option(
            "name", options->words, "The machine's name, and the folder that its Formfile copies from"
        )
        ->expected(0, 2);
    creating->add_option("--network", options->networks, "Network to be in; may be repeated")->take_all();
    creating->add_option("--address", options->address, "IPv4 address in the first network");
    creating->add_option("--gpu", options->gpus, "GPU to pass through, MODEL or MODEL:COUNT; may be repeated")
        ->take_all();
    creating
        ->add_option("--ssh-key", options->ssh_keys, "File with public keys that may log in; may be repeated")
        ->take_all();
    creating->add_option("--user-data", options->user_data, "File for cloud-init");
    creating->add_option("--image", options->image, "Image to boot; the service's default otherwise");
    creating->add_option("--vcpus", options->vcpus, "Number of virtual processors");
    creating->add_option("--memory", options->memory_mib, "Memory in MiB");
    creating->add_option("--disk", options->disk_gib, "Root disk in GiB");
    creating->add_option("--label", options->labels, "key=value; may be repeated")->take_all();
    creating->add_option("-f,--formfile", options->formfile, "File that describes the machine");
    creating->add_option("--team", options->team, "Name or id of the team that owns it");
    creating->add_option(
        "--idempotency-key", options->idempotency_key, "Makes a repetition give the first answer"
    );
    creating->add_flag("--no-start", options->no_start, "Only define it");
    creating->add_flag("--wait", options->wait, "Wait until the guest has booted");
    creating->add_flag("--async", options->async, "Do not wait; print the operation");
    creating->parse_complete_callback([options] {
        if (options->words.empty() && options->formfile.empty()) {
            throw CLI::RequiredError{"name"};
        }
    });
    action(creating, [this, options] { return create(settings_, *options); });

    auto* listing = command("ls", "List machines");
    auto filter = std::make_shared<ListOptions>();
    listing->add_option("--status", filter->status, "Only those in this status");
    listing->add_option("--label", filter->label, "Only those with this label: key or key=value");
    listing->add_option("--owner", filter->owner, "Only those of this address");
    listing->add_option("--team", filter->team, "Only those of this team: name or id");
    listing->add_flag("-q,--quiet", filter->names_only, "Only names, one a line");
    action(listing, [this, filter] { return list(settings_, *filter); });

    auto* showing = command("show", "Show a machine");
    auto name = std::make_shared<std::string>();
    showing->add_option("vm", *name, "Name or id")->required();
    action(showing, [this, name] { return show(settings_, *name); });

    auto* changing = command("set", "Change a machine's name or labels, or make its root disk larger");
    auto target = std::make_shared<std::string>();
    auto new_name = std::make_shared<std::string>();
    auto labels = std::make_shared<std::vector<std::string>>();
    changing->add_option("vm", *target, "Name or id")->required();
    changing->add_option("--name", *new_name, "New name");
    changing->add_option("--label", *labels, "key=value; may be repeated; replaces all labels")->take_all();
    auto disk_gib = std::make_shared<std::optional<std::int64_t>>();
    changing->add_option("--disk", *disk_gib, "New size of the root disk in GiB");
    action(changing, [this, target, new_name, labels, disk_gib] {
        return change(settings_, *target, *new_name, *labels, *disk_gib);
    });

    auto* removing = command("rm", "Delete machines with their disks");
    auto names = std::make_shared<std::vector<std::string>>();
    auto force = std::make_shared<bool>(false);
    removing->add_option("vm", *names, "Names or ids")->required();
    auto volumes = std::make_shared<bool>(false);
    removing->add_flag("-f,--force", *force, "Also when they run");
    removing->add_flag("--volumes", *volumes, "With the volumes that are attached; they are kept otherwise");
    action(removing, [this, names, force, volumes] { return remove(settings_, *names, *force, *volumes); });

    auto* waiting = command("wait", "Wait until a machine is as wanted");
    auto whom = std::make_shared<std::string>();
    auto what = std::make_shared<std::string>("boot");
    waiting->add_option("vm", *whom, "Name or id")->required();
    waiting->add_option("--for", *what, "boot, or a status")
        ->check(CLI::IsMember({"boot", "running", "stopped", "paused", "failed", "deleted"}))
        ->capture_default_str();
    action(waiting, [this, whom, what]() -> Result<void> {
        Client client{settings_};
        client.set_doing("waiting for " + *whom);
        TRY(const auto id, client.resolve(*whom));
        TRY(const auto vm, wait_until(client, settings_, id, *what));
        print_object(settings_, vm);
        return {};
    });
}

void Vmctl::add_power_commands() {
    const auto add = [this](const std::string& verb, const std::string& about, bool stops) {
        auto* one = command(verb, about);
        auto options = std::make_shared<PowerOptions>();
        one->add_option("vm", options->names, "Names or ids")->required();
        one->add_flag("--async", options->async, "Do not wait; print the operation's status");
        if (stops) {
            one->add_flag("-f,--force", options->force, "Do not ask the guest");
            one->add_option("--grace", options->grace_s, "Seconds the guest has to turn itself off");
        }
        action(one, [this, options, verb] { return power(settings_, *options, verb); });
    };
    add("start", "Boot machines", false);
    add("stop", "Press the power button, then end by force", true);
    add("restart", "Stop, then boot again", true);
    add("pause", "Stop the processors where they are", false);
    add("resume", "Let paused machines go on", false);
}

}  // namespace vmm::cli
