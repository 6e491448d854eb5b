#pragma once

#include "vmm/base/error.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::daemon {

// One configuration key: everything about it stands here and nowhere else. From this come the file reader,
// the environment, the flags, the help, and config/default.conf.
struct Key {
    enum class Type : std::uint8_t { text, integer, boolean, choice };

    std::string_view name;
    Type type;
    std::string_view fallback;  // the default, as text
    std::int64_t least;         // of an integer
    std::int64_t most;
    std::string_view choices;  // of a choice, separated by '|'
    std::string_view section;  // heading in the documented file
    std::string_view help;     // one line

    // VMM_<NAME>; WAIT_FOR for wait_for.
    [[nodiscard]] std::string environment() const;
    // --name-with-dashes.
    [[nodiscard]] std::string flag() const;
};

std::span<const Key> keys();

// A value and where it came from: "default", "FILE:LINE", "environment VMM_X", "flag --x".
struct Setting {
    std::string value;
    std::string origin;
};

// The configuration in force. Every key of the schema is present and valid.
class Config {
public:
    [[nodiscard]] const std::string& text(std::string_view key) const;
    [[nodiscard]] std::int64_t integer(std::string_view key) const;
    [[nodiscard]] bool flag(std::string_view key) const;
    // Parts between commas.
    [[nodiscard]] std::vector<std::string> list(std::string_view key) const;
    [[nodiscard]] const Setting& setting(std::string_view key) const;

    // Checks the value against the key's type and range. invalid, with the origin and the key.
    Result<void> set(std::string_view key, std::string value, std::string origin);

    static Config defaults();

private:
    std::map<std::string, Setting, std::less<>> settings_;
};

// Reads a TOML file: keys at the top level, and those of [profile] over them. Unknown keys and sections are
// refused with file, line and the nearest real name.
Result<void> read_file_into(Config& config, const std::filesystem::path& file, const std::string& profile);

// VMM_* and WAIT_FOR. Unknown VMM_* names are refused with the nearest real one.
Result<void> read_environment_into(Config& config, const std::vector<std::string>& environment);

// "key = value  # origin" for every key.
std::string printed(const Config& config);

// The documented config/default.conf.
std::string documented_file();

}  // namespace vmm::daemon
