#include "settings.h"

#include "vmm/base/files.h"
#include "vmm/base/text.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace vmm::cli {
namespace {

void take(std::string& setting, const std::string& from) {
    if (setting.empty()) {
        setting = from;
    }
}

Result<void> read_file_into(Settings& settings) {
    const auto file = config_folder() / "vmctl.toml";
    const auto text = read_file(file);
    if (!text) {
        return text.error().code() == Code::not_found ? Result<void>{} : std::unexpected{text.error()};
    }
    toml::table table;
    try {
        table = toml::parse(*text, file.string());
    } catch (const toml::parse_error& e) {
        return fail(
            Code::invalid,
            file.string() + ":" + std::to_string(e.source().begin.line) + ": " + std::string{e.description()}
        );
    }
    const std::array<std::string, 3> known{"url", "key", "output"};
    for (const auto& [name, node] : table) {
        const auto line = file.string() + ":" + std::to_string(name.source().begin.line);
        if (std::ranges::find(known, name.str()) == known.end()) {
            const auto near = nearest(name.str(), known);
            return fail(
                Code::invalid,
                line + ": unknown key " + quote(name.str()) +
                    (near ? ", did you mean \"" + *near + "\"?" : "")
            );
        }
        if (!node.is_string()) {
            return fail(Code::invalid, line + ": expected text");
        }
    }
    take(settings.url, table["url"].value_or(std::string{}));
    take(settings.key, table["key"].value_or(std::string{}));
    take(settings.output, table["output"].value_or(std::string{}));
    return {};
}

}  // namespace

std::string environment(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
    return value == nullptr ? "" : value;
}

Result<std::string> text_or_file(const std::string& given) {
    if (given.starts_with("cap1.")) {
        return given;
    }
    TRY(const auto content, read_file(given));
    return std::string{trim(content)};
}

std::filesystem::path config_folder() {
    const auto given = environment("XDG_CONFIG_HOME");
    const std::filesystem::path base =
        given.empty() ? std::filesystem::path{environment("HOME")} / ".config" : std::filesystem::path{given};
    return base / "vmm";
}

Result<void> complete(Settings& settings) {
    take(settings.url, environment("VMM_URL"));
    take(settings.key, environment("VMM_KEY"));
    take(settings.ca_file, environment("VMM_CA_FILE"));
    take(settings.capability, environment("VMM_CAPABILITY"));
    if (!settings.capability.empty()) {
        TRY(settings.capability, text_or_file(settings.capability));
    }
    CHECK(read_file_into(settings));
    take(settings.url, "http://127.0.0.1:3003");
    take(settings.key, "default");
    take(settings.output, "table");
    if (settings.output != "table" && settings.output != "json") {
        return invalid("output", "expected table or json, found " + quote(settings.output));
    }
    return {};
}

}  // namespace vmm::cli
