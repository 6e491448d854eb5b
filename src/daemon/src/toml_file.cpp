#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/daemon/config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <array>

namespace vmm::daemon {
namespace {

const std::array<std::string, 2> profiles{"development", "testing"};

std::string place(const std::filesystem::path& file, const toml::source_region& at) {
    return file.string() + ":" + std::to_string(at.begin.line);
}

Result<void> read_table(Config& config, const toml::table& table, const std::filesystem::path& file) {
    for (const auto& [name, node] : table) {
        const auto origin = place(file, name.source());
        if (node.is_table()) {
            continue;
        }
        std::string value;
        if (const auto* text = node.as_string()) {
            value = text->get();
        } else if (const auto* number = node.as_integer()) {
            value = std::to_string(number->get());
        } else if (const auto* boolean = node.as_boolean()) {
            value = boolean->get() ? "true" : "false";
        } else if (const auto* list = node.as_array()) {
            for (const auto& part : *list) {
                const auto* word = part.as_string();
                if (word == nullptr) {
                    return fail(
                        Code::invalid, origin + ": " + std::string{name.str()} + ": expected a list of texts"
                    );
                }
                value.append(value.empty() ? "" : ",").append(word->get());
            }
        } else {
            return fail(
                Code::invalid,
                origin + ": " + std::string{name.str()} + ": expected text, a whole number, true or false"
            );
        }
        CHECK(config.set(name.str(), std::move(value), origin));
    }
    return {};
}

Result<void> check_sections(const toml::table& table, const std::filesystem::path& file) {
    for (const auto& [name, node] : table) {
        if (!node.is_table() || std::ranges::find(profiles, name.str()) != profiles.end()) {
            continue;
        }
        const auto near = nearest(name.str(), profiles);
        return fail(
            Code::invalid,
            place(file, name.source()) + ": unknown section " + quote(name.str()) +
                (near ? ", did you mean \"" + *near + "\"?" : "")
        );
    }
    return {};
}

}  // namespace

Result<void> read_file_into(Config& config, const std::filesystem::path& file, const std::string& profile) {
    if (!profile.empty() && std::ranges::find(profiles, profile) == profiles.end()) {
        return fail(
            Code::invalid, "unknown profile " + quote(profile) + "; there are development and testing"
        );
    }
    auto text = read_file(file);
    if (!text) {
        return fail(std::move(text).error().while_doing("configuration file " + file.string()));
    }
    toml::table table;
    try {
        table = toml::parse(*text, file.string());
    } catch (const toml::parse_error& e) {
        return fail(Code::invalid, place(file, e.source()) + ": " + std::string{e.description()});
    }
    CHECK(check_sections(table, file));
    CHECK(read_table(config, table, file));
    // Every section is checked, so that a slip in one does not wait for the day it is used.
    for (const auto& name : profiles) {
        if (const auto* section = table[name].as_table()) {
            Config scratch = config;
            CHECK(read_table(name == profile ? config : scratch, *section, file));
        }
    }
    return {};
}

}  // namespace vmm::daemon
