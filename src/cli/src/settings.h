#pragma once

#include "vmm/base/error.h"

#include <filesystem>
#include <string>

namespace vmm::cli {

// What every command works with: flag, then environment, then ~/.config/vmm/vmctl.toml, then the default.
struct Settings {
    std::string url;     // --url, VMM_URL, url
    std::string key;     // --key, VMM_KEY, key: a name, a file, or (environment only) 64 hex digits
    std::string output;  // -o, output: table or json
    std::string password_file;
    std::string ca_file;     // --ca, VMM_CA_FILE: authorities trusted beside the system's own
    std::string capability;  // --capability, VMM_CAPABILITY: a token, or a file that holds one
    int timeout_s = 120;
};

// $XDG_CONFIG_HOME/vmm or ~/.config/vmm.
std::filesystem::path config_folder();

// Fills what the flags left empty. invalid with file and line.
Result<void> complete(Settings& settings);

// A capability: the text itself, or what the file of this name holds.
Result<std::string> text_or_file(const std::string& given);

// A variable of the environment, or empty.
std::string environment(const char* name);

}  // namespace vmm::cli
