#pragma once

#include "vmm/base/error.h"
#include "vmm/domain/gpu.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmm::domain {

// A login that the Formfile makes.
struct FormfileUser {
    std::string username;
    std::string passwd;  // as written, or its hash "$6$…"; empty: none
    std::vector<std::string> ssh_authorized_keys;
    bool lock_passwd = false;
    bool sudo = false;
    std::string shell = "/bin/bash";
    bool ssh_pwauth = true;
    bool disable_root = true;
    bool chpasswd_expire = true;
    std::vector<std::string> groups;
};

// What is done in the guest while it is built, in the order of the file.
struct BuildStep {
    enum class Kind : std::uint8_t { copy, install, run, env };
    enum class Scope : std::uint8_t { system, user, service };
    Kind kind = Kind::run;
    std::size_t line = 0;
    std::vector<std::string> words;  // copy: from, to; install: packages; run: the command; env: key, value
    Scope scope = Scope::system;     // env
    std::string who;                 // env: the user or service
};

struct FormfilePort {
    std::uint16_t port = 0;
    std::string protocol = "tcp";
};

struct HealthCheck {
    std::string command;
    std::uint32_t interval_s = 30;
    std::uint32_t timeout_s = 30;
    std::uint32_t retries = 3;
};

// A machine's order in a file. What shapes the machine is applied here; the rest is done by its guest.
struct Formfile {
    std::string from;  // the image
    std::string name;
    std::string description;
    std::optional<std::uint32_t> vcpus;       // 1..128
    std::optional<std::uint32_t> memory_mib;  // 512..256000
    std::optional<std::uint32_t> disk_gib;    // 5..65535
    std::vector<GpuWish> gpus;
    std::vector<FormfileUser> users;
    std::vector<BuildStep> steps;
    std::string workdir = "/";
    std::vector<std::string> entrypoint;
    std::vector<FormfilePort> exposes;
    std::string model;
    bool model_required = false;
    std::optional<HealthCheck> health;

    // Whether something is to be done inside the guest.
    [[nodiscard]] bool builds() const { return !users.empty() || !steps.empty() || !entrypoint.empty(); }

    [[nodiscard]] bool copies() const;
};

// Reads the line-based grammar (docs/guests.md). Blank lines and lines that begin with # are skipped.
// invalid, field "formfile", with line and column and, for a slip of the pen, the word that was meant.
Result<Formfile> parse_formfile(std::string_view text);

// One USER line's or object's member. invalid with what is wrong.
Result<void> set_user_member(FormfileUser& user, std::string_view key, std::string_view value);

// What every Formfile must hold, however it was written: names, ranges, absolute paths. invalid "formfile".
Result<void> check_formfile(const Formfile& formfile);

// Whether it is the name of an environment variable.
bool is_variable(std::string_view name);

}  // namespace vmm::domain
