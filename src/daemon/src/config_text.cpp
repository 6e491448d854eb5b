#include "vmm/base/text.h"
#include "vmm/daemon/config.h"

namespace vmm::daemon {
namespace {

std::string toml_value(const Key& key, const std::string& value) {
    if (key.type == Key::Type::integer || key.type == Key::Type::boolean) {
        return value;
    }
    std::string out = "\"";
    for (const char c : value) {
        if (c == '"' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out + "\"";
}

std::string range_text(const Key& key) {
    switch (key.type) {
        case Key::Type::integer: return std::to_string(key.least) + " to " + std::to_string(key.most);
        case Key::Type::boolean: return "true or false";
        case Key::Type::choice: {
            std::string out;
            for (const auto& choice : split(key.choices, '|')) {
                out.append(out.empty() ? "" : ", ").append(choice);
            }
            return out;
        }
        case Key::Type::text: return "text";
    }
    return "";
}

}  // namespace

std::string printed(const Config& config) {
    std::string out;
    for (const auto& key : keys()) {
        const auto& [value, origin] = config.setting(key.name);
        std::string line{key.name};
        line.append(" = ").append(toml_value(key, value));
        line.append(line.size() < 48 ? 48 - line.size() : 1, ' ');
        out.append(line).append("# ").append(origin).append("\n");
    }
    return out;
}

std::string documented_file() {
    std::string out =
        "# vmm-service: every key with its default. A key that is not here does not exist.\n"
        "# Precedence: flag, environment, [profile] section, top of this file, default.\n"
        "# The sections [development] and [testing] at the end apply with --profile or VMM_PROFILE.\n";
    std::string_view section;
    for (const auto& key : keys()) {
        if (key.section != section) {
            section = key.section;
            out.append("\n# ---- ").append(section).append(" ----\n");
        }
        out.append("\n# ").append(key.help).append(".\n");
        out.append("# ")
            .append(range_text(key))
            .append("; ")
            .append(key.environment())
            .append("; ")
            .append(key.flag())
            .append("\n");
        out.append(key.name).append(" = ").append(toml_value(key, std::string{key.fallback})).append("\n");
    }
    out.append(
        "\n[development]\n"
        "log_level = \"debug\"\n"
        "api_host = \"127.0.0.1\"\n"
        "\n[testing]\n"
        "max_vms = 10\n"
        "default_memory_mb = 256\n"
        "default_disk_size_gb = 5\n"
    );
    return out;
}

}  // namespace vmm::daemon
