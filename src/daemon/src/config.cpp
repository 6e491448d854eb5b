#include "vmm/daemon/config.h"

#include "vmm/base/text.h"

#include <algorithm>
#include <array>

namespace vmm::daemon {
namespace {

const Key* find_key(std::string_view name) {
    const auto all = keys();
    const auto found = std::ranges::find(all, name, &Key::name);
    return found == all.end() ? nullptr : &*found;
}

std::string upper(std::string_view text) {
    std::string out{text};
    std::ranges::transform(out, out.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    return out;
}

bool one_of(std::string_view choices, std::string_view value) {
    const auto all = split(choices, '|');
    return std::ranges::find(all, value) != all.end();
}

Result<std::string> checked(const Key& key, std::string value) {
    switch (key.type) {
        case Key::Type::text: return value;
        case Key::Type::choice:
            if (!one_of(key.choices, value)) {
                return fail(Code::invalid, quote(value) + " is not one of " + std::string{key.choices});
            }
            return value;
        case Key::Type::boolean: {
            const auto word = lower(value);
            if (one_of("true|yes|1|on", word)) {
                return "true";
            }
            if (one_of("false|no|0|off", word)) {
                return "false";
            }
            return fail(Code::invalid, quote(value) + " is neither true nor false");
        }
        case Key::Type::integer: {
            const auto number = parse_number<std::int64_t>(value);
            if (!number || *number < key.least || *number > key.most) {
                return fail(
                    Code::invalid,
                    quote(value) + " is not a whole number from " + std::to_string(key.least) + " to " +
                        std::to_string(key.most)
                );
            }
            return value;
        }
    }
    return value;
}

// Variables that begin with VMM_ and are no keys: the file's place, the profile, vmctl's, and the test hook.
constexpr std::array<std::string_view, 6> other_variables{
    "VMM_CONFIG_PATH",
    "VMM_PROFILE",
    "VMM_URL",
    "VMM_KEY",
    "VMM_KEY_PASSWORD",
    "VMM_FAULT_POINT",
};

}  // namespace

std::string Key::environment() const {
    return name == "wait_for" ? "WAIT_FOR" : "VMM_" + upper(name);
}

std::string Key::flag() const {
    std::string out{"--"};
    out.append(name);
    std::ranges::replace(out, '_', '-');
    return out;
}

Config Config::defaults() {
    Config config;
    for (const auto& key : keys()) {
        config.settings_.emplace(key.name, Setting{std::string{key.fallback}, "default"});
    }
    return config;
}

const Setting& Config::setting(std::string_view key) const {
    return settings_.find(key)->second;
}

const std::string& Config::text(std::string_view key) const {
    return setting(key).value;
}

std::int64_t Config::integer(std::string_view key) const {
    return parse_number<std::int64_t>(text(key)).value_or(0);
}

bool Config::flag(std::string_view key) const {
    return text(key) == "true";
}

std::vector<std::string> Config::list(std::string_view key) const {
    return split(text(key), ',');
}

Result<void> Config::set(std::string_view name, std::string value, std::string origin) {
    const auto* key = find_key(name);
    if (key == nullptr) {
        std::vector<std::string> names;
        for (const auto& known : keys()) {
            names.emplace_back(known.name);
        }
        const auto near = nearest(name, names);
        return fail(
            Code::invalid,
            origin + ": unknown key " + quote(name) + (near ? ", did you mean \"" + *near + "\"?" : "")
        );
    }
    auto good = checked(*key, std::move(value));
    if (!good) {
        return fail(std::move(good).error().while_doing(origin + ": " + std::string{name}).with_field(name));
    }
    settings_.insert_or_assign(std::string{name}, Setting{*std::move(good), std::move(origin)});
    return {};
}

Result<void> read_environment_into(Config& config, const std::vector<std::string>& environment) {
    std::vector<std::string> names;
    for (const auto& key : keys()) {
        names.push_back(key.environment());
    }
    for (const auto& entry : environment) {
        const auto equals = entry.find('=');
        const std::string variable = entry.substr(0, equals);
        const bool ours = variable.starts_with("VMM_") || variable == "WAIT_FOR";
        if (!ours || equals == std::string::npos ||
            std::ranges::find(other_variables, variable) != other_variables.end()) {
            continue;
        }
        const auto at = std::ranges::find(names, variable);
        if (at == names.end()) {
            const auto near = nearest(variable, names);
            return fail(
                Code::invalid,
                "environment: unknown variable " + quote(variable) +
                    (near ? ", did you mean \"" + *near + "\"?" : "")
            );
        }
        const auto& key = keys()[static_cast<std::size_t>(at - names.begin())];
        CHECK(config.set(key.name, entry.substr(equals + 1), "environment " + variable));
    }
    return {};
}

}  // namespace vmm::daemon
