#include "vmm/json/write.h"

#include <cstdio>

#include "app.h"
#include "client.h"
#include "image_files.h"
#include "output.h"

namespace vmm::cli {
namespace {

struct DiskOptions {
    std::string vm;
    std::string disk;
    std::string volume;
    std::string name;
    std::string cache;
    std::optional<std::int64_t> size_gib;
    std::optional<std::int64_t> iops;
    std::optional<std::int64_t> throughput_mbps;
};

std::string body_of(const DiskOptions& options) {
    json::Object body;
    const auto number = [&body](const char* name, const std::optional<std::int64_t>& value) {
        if (value) {
            body.emplace_back(name, json::Value::integer(*value));
        }
    };
    const auto text = [&body](const char* name, const std::string& value) {
        if (!value.empty()) {
            body.emplace_back(name, json::Value{value});
        }
    };
    number("size_gib", options.size_gib);
    text("volume", options.volume);
    text("name", options.name);
    number("iops", options.iops);
    number("throughput_mbps", options.throughput_mbps);
    text("cache", options.cache);
    return json::compact(json::Value{std::move(body)});
}

void print_disks(const Settings& settings, const json::Value& answer, std::string_view member) {
    if (settings.output == "json") {
        print_json(answer);
        return;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& disk : *answer.find(member)->as<json::List>()) {
        rows.push_back({
            shown(disk, "id"),
            shown(disk, "name"),
            shown(disk, "size_gib"),
            shown(disk, "real_bytes"),
            shown(disk, "iops"),
            shown(disk, "throughput_mbps"),
            shown(disk, "cache"),
        });
    }
    print_table({"ID", "NAME", "GIB", "REAL BYTES", "IOPS", "MB/S", "CACHE"}, rows);
}

Result<void> call_and_show(
    const Settings& settings,
    const DiskOptions& options,
    const std::string& method,
    const std::string& rest,
    const std::string& body
) {
    Client client{settings};
    client.set_doing("changing the disks of " + options.vm);
    TRY(const auto id, client.resolve(options.vm));
    TRY(const auto answer, client.call(method, "/vms/" + id + "/disks" + rest, body));
    if (answer.is_null()) {
        std::printf(
            "%s detached from %s; `vmctl volume rm` deletes its data\n",
            options.disk.c_str(),
            options.vm.c_str()
        );
    } else {
        print_object(settings, answer);
    }
    return {};
}

void add_tuning(CLI::App* to, const std::shared_ptr<DiskOptions>& options) {
    to->add_option("--iops", options->iops, "Most operations a second; 0 is no limit");
    to->add_option("--throughput", options->throughput_mbps, "Most megabytes a second; 0 is no limit");
    to->add_option("--cache", options->cache, "writeback, writethrough, none, directsync or unsafe");
}

struct CopyOptions {
    std::string vm;
    std::string name;
    std::string version;
    bool start = false;
    bool form = false;
    bool is_public = false;
};

Result<void> clone(const Settings& settings, const CopyOptions& options) {
    Client client{settings};
    client.set_doing("cloning " + options.vm);
    TRY(const auto id, client.resolve(options.vm));
    json::Object body;
    body.emplace_back("name", json::Value{options.name});
    body.emplace_back("start", json::Value{options.start});
    TRY(const auto answer,
        client.call("POST", "/vms/" + id + "/clone", json::compact(json::Value{std::move(body)})));
    print_object(settings, answer);
    return {};
}

Result<void> publish(const Settings& settings, const CopyOptions& options) {
    Client client{settings};
    TRY(const auto id, client.resolve(options.vm));
    client.set_header("Prefer", "respond-async");
    json::Object body;
    body.emplace_back("name", json::Value{options.name});
    body.emplace_back("form", json::Value{options.form});
    if (!options.version.empty()) {
        body.emplace_back("version", json::Value{options.version});
    }
    body.emplace_back("visibility", json::Value{std::string{options.is_public ? "public" : "private"}});
    TRY(const auto operation,
        client.call("POST", "/vms/" + id + "/publish", json::compact(json::Value{std::move(body)})));
    Client waiting{settings};
    TRY(const auto image, await_image(waiting, std::string{operation.text_or("id", "")}, options.name));
    print_object(settings, image);
    return {};
}

}  // namespace

void Vmctl::add_disk_commands() {
    auto* cloning = command("clone", "A new machine whose root disk is a copy of another's as it is now");
    auto copy = std::make_shared<CopyOptions>();
    cloning->add_option("vm", copy->vm, "Name or id")->required();
    cloning->add_option("name", copy->name, "The new machine's name")->required();
    cloning->add_flag("--start", copy->start, "Boot it");
    action(cloning, [this, copy] { return clone(settings_, *copy); });

    auto* publishing = command("publish", "Make an image of a machine's root disk");
    publishing->add_option("vm", copy->vm, "Name or id")->required();
    publishing->add_option("name", copy->name, "The image's name")->required();
    publishing->add_option("--image-version", copy->version, "The image's version");
    publishing->add_flag("--form", copy->form, "As a .form");
    publishing->add_flag("--public", copy->is_public, "For everybody; administrators only");
    action(publishing, [this, copy] { return publish(settings_, *copy); });

    auto* disk = command("disk", "Disks of a machine");
    disk->require_subcommand(1);
    auto options = std::make_shared<DiskOptions>();
    auto* listing = command("ls", "List a machine's disks", disk);
    listing->add_option("vm", options->vm, "Name or id")->required();
    action(listing, [this, options]() -> Result<void> {
        Client client{settings_};
        TRY(const auto id, client.resolve(options->vm));
        TRY(const auto answer, client.call("GET", "/vms/" + id + "/disks"));
        print_disks(settings_, answer, "disks");
        return {};
    });
    auto* adding =
        command("add", "Attach a new volume, or one that exists; at once when the machine runs", disk);
    adding->add_option("vm", options->vm, "Name or id")->required();
    adding->add_option("--size", options->size_gib, "GiB of a new volume");
    adding->add_option("--volume", options->volume, "Id of an existing one");
    adding->add_option("--name", options->name, "Name of a new one, for people");
    add_tuning(adding, options);
    action(adding, [this, options] {
        return call_and_show(settings_, *options, "POST", "", body_of(*options));
    });
    auto* setting = command("set", "Make a disk larger, or change its limits", disk);
    setting->add_option("vm", options->vm, "Name or id")->required();
    setting->add_option("disk", options->disk, "root, or a volume's id")->required();
    setting->add_option("--size", options->size_gib, "New size in GiB");
    add_tuning(setting, options);
    action(setting, [this, options] {
        return call_and_show(settings_, *options, "PATCH", "/" + options->disk, body_of(*options));
    });
    auto* removing = command("rm", "Detach a volume; its data stays", disk);
    removing->add_option("vm", options->vm, "Name or id")->required();
    removing->add_option("disk", options->disk, "The volume's id")->required();
    action(removing, [this, options] {
        return call_and_show(settings_, *options, "DELETE", "/" + options->disk, "");
    });

    auto* volume = command("volume", "Volumes that are attached to no machine");
    volume->require_subcommand(1);
    action(command("ls", "List them", volume), [this]() -> Result<void> {
        Client client{settings_};
        TRY(const auto answer, client.call("GET", "/volumes"));
        print_disks(settings_, answer, "volumes");
        return {};
    });
    auto* deleting = command("rm", "Delete volumes with their data", volume);
    auto ids = std::make_shared<std::vector<std::string>>();
    deleting->add_option("volume", *ids, "Their ids")->required();
    action(deleting, [this, ids]() -> Result<void> {
        for (const auto& id : *ids) {
            Client client{settings_};
            CHECK(client.call("DELETE", "/volumes/" + id));
            std::printf("%s deleted\n", id.c_str());
        }
        return {};
    });

    auto* events = command("events", "What happened to a machine since the service started");
    auto whose = std::make_shared<std::string>();
    events->add_option("vm", *whose, "Name or id")->required();
    action(events, [this, whose]() -> Result<void> {
        Client client{settings_};
        TRY(const auto id, client.resolve(*whose));
        TRY(const auto answer, client.call("GET", "/vms/" + id + "/events"));
        if (settings_.output == "json") {
            print_json(answer);
            return {};
        }
        std::vector<std::vector<std::string>> rows;
        for (const auto& event : *answer.find("events")->as<json::List>()) {
            rows.push_back({shown(event, "at"), shown(event, "what"), shown(event, "detail")});
        }
        print_table({"AT", "WHAT", "DETAIL"}, rows);
        return {};
    });
}

}  // namespace vmm::cli
