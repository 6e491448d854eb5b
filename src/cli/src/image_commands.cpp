#include "vmm/base/text.h"
#include "vmm/json/write.h"

#include <cstdio>

#include "app.h"
#include "bar.h"
#include "image_files.h"
#include "output.h"

namespace vmm::cli {
namespace {

std::string amount_of(const json::Value& image, std::string_view member) {
    const auto* value = image.find(member);
    const auto* number = value == nullptr ? nullptr : value->as<json::Number>();
    return number == nullptr ? "-" : amount(parse_number<std::uint64_t>(number->text).value_or(0));
}

Result<void> list_images(const Settings& settings) {
    Client client{settings};
    json::List images;
    std::string cursor;
    do {
        TRY(const auto page,
            client.call(
                "GET", "/images?limit=1000" + (cursor.empty() ? "" : "&cursor=" + query_escaped(cursor))
            ));
        for (const auto& image : *page.find("images")->as<json::List>()) {
            images.push_back(image);
        }
        cursor = page.text_or("next_cursor", "");
    } while (!cursor.empty());
    if (settings.output == "json") {
        json::Object all;
        all.emplace_back("images", json::Value{std::move(images)});
        print_json(json::Value{std::move(all)});
        return {};
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& image : images) {
        rows.push_back({
            shown(image, "name"),
            shown(image, "status"),
            shown(image, "format"),
            image.text_or("kind", "") == "kernel" ? "-" : amount_of(image, "virtual_bytes"),
            amount_of(image, "real_bytes"),
            shown(image, "visibility"),
            shown(image, "trust"),
            shown(image, "used_by"),
            shown(image, "reason"),
        });
    }
    print_table(
        {"NAME", "STATUS", "FORMAT", "VIRTUAL", "REAL", "VISIBILITY", "TRUST", "USED BY", "REASON"}, rows
    );
    return {};
}

struct ImportOptions {
    std::string from;
    std::string name;
    std::string sha256;
    std::string root;
    bool is_public = false;
};

Result<void> import(const Settings& settings, ImportOptions options) {
    if (options.name.empty()) {
        auto file = options.from.substr(0, options.from.find('?'));
        file = file.substr(file.rfind('/') == std::string::npos ? 0 : file.rfind('/') + 1);
        options.name = file.substr(0, file.rfind('.') == std::string::npos ? file.size() : file.rfind('.'));
    }
    const bool is_url = options.from.starts_with("http://") || options.from.starts_with("https://");
    json::Object body;
    const auto put = [&body](const char* member, const std::string& value) {
        if (!value.empty()) {
            body.emplace_back(member, json::Value{value});
        }
    };
    put("name", options.name);
    put(is_url ? "url" : "path", options.from);
    put("sha256", options.sha256);
    put("root", options.root);
    put("visibility", options.is_public ? "public" : "");
    Client client{settings};
    client.set_header("Prefer", "respond-async");
    TRY(const auto operation, client.call("POST", "/images", json::compact(json::Value{std::move(body)})));
    Client waiting{settings};
    TRY(const auto image, await_image(waiting, std::string{operation.text_or("id", "")}, options.name));
    print_object(settings, image);
    return {};
}

}  // namespace

void Vmctl::add_image_commands() {
    auto* image = command("image", "Images that machines boot");
    image->require_subcommand(1);
    action(command("ls", "List images", image), [this] { return list_images(settings_); });

    auto* showing = command("show", "Show an image", image);
    auto which = std::make_shared<std::string>();
    showing->add_option("name", *which, "Its name")->required();
    action(showing, [this, which]() -> Result<void> {
        Client client{settings_};
        TRY(const auto answer, client.call("GET", "/images/" + query_escaped(*which)));
        print_object(settings_, answer);
        return {};
    });

    auto* pushing =
        command("push", "Send a disk image, of any format that qemu-img reads, or a .form", image);
    auto sent = std::make_shared<PushOptions>();
    pushing->add_option("file", sent->file, "The file; of a vmdk in parts its descriptor")->required();
    pushing->add_option("--name", sent->name, "The image's name; the file's without its ending otherwise");
    pushing->add_flag("--public", sent->is_public, "For everybody; administrators only");
    action(pushing, [this, sent]() -> Result<void> {
        TRY(const auto answer, push(settings_, *sent));
        print_object(settings_, answer);
        return {};
    });

    auto* pulling = command("pull", "Fetch an image into a file", image);
    auto pulled = std::make_shared<std::string>();
    auto file = std::make_shared<std::string>();
    pulling->add_option("name", *pulled, "Its name")->required();
    pulling->add_option("file", *file, "The file; goes on with FILE.part when that is there")->required();
    action(pulling, [this, pulled, file] { return pull(settings_, *pulled, *file); });

    auto* importing =
        command("import", "Have the service fetch an image from a url, or from a path of its host", image);
    auto import_options = std::make_shared<ImportOptions>();
    importing->add_option("from", import_options->from, "http://…, https://… or /path")->required();
    importing->add_option(
        "--name", import_options->name, "The image's name; the file's without its ending otherwise"
    );
    importing->add_option("--sha256", import_options->sha256, "SHA-256 that the file must have");
    importing->add_option(
        "--root",
        import_options->root,
        "Merkle root that a .form must have; chunks that are there are not fetched"
    );
    importing->add_flag("--public", import_options->is_public, "For everybody; administrators only");
    action(importing, [this, import_options] { return import(settings_, *import_options); });

    auto* removing = command("rm", "Delete images that no machine uses, or cancel their imports", image);
    auto names = std::make_shared<std::vector<std::string>>();
    removing->add_option("name", *names, "Their names")->required();
    action(removing, [this, names]() -> Result<void> {
        for (const auto& name : *names) {
            Client client{settings_};
            CHECK(client.call("DELETE", "/images/" + query_escaped(name)));
            std::printf("%s deleted\n", name.c_str());
        }
        return {};
    });
    add_image_file_commands(image);
}

}  // namespace vmm::cli
