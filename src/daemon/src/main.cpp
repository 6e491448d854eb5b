#include "vmm/base/files.h"
#include "vmm/base/text.h"
#include "vmm/daemon/config.h"
#include "vmm/daemon/daemon.h"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

namespace {

using vmm::Result;
using vmm::daemon::Config;

constexpr int exit_failed = 1;
constexpr int exit_usage = 2;

struct Wanted {
    std::string file;
    std::string profile;
    bool print = false;
    bool check = false;
    bool print_default = false;
    std::map<std::string, std::string> flags;  // by key
};

std::string variable(const char* name) {
    const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread
    return value == nullptr ? "" : value;
}

void define(CLI::App& app, Wanted& wanted) {
    app.set_version_flag("--version", std::string{vmm::daemon::version()});
    app.add_option(
        "-c,--config", wanted.file, "Configuration file (VMM_CONFIG_PATH; /etc/formation/vmm/default.conf)"
    );
    app.add_option(
        "--profile", wanted.profile, "Section of the file to apply: development or testing (VMM_PROFILE)"
    );
    app.add_flag(
        "--print-config", wanted.print, "Print every key with its value and where it came from, and exit"
    );
    app.add_flag("--check-config", wanted.check, "Check the configuration and exit");
    app.add_flag(
        "--print-default-config",
        wanted.print_default,
        "Print the documented default configuration file and exit"
    );
    for (const auto& key : vmm::daemon::keys()) {
        const std::string help = std::string{key.help} + " (" + key.environment() + "; " +
                                 (key.fallback.empty() ? "empty" : std::string{key.fallback}) + ")";
        app.add_option_function<std::string>(
               key.flag(),
               [&wanted, name = std::string{key.name}](const std::string& value) {
                   wanted.flags[name] = value;
               },
               help
        )
            ->group(std::string{key.section});
    }
}

Result<Config> load(const Wanted& wanted) {
    auto config = Config::defaults();
    const auto named = !wanted.file.empty() ? wanted.file : variable("VMM_CONFIG_PATH");
    const std::string file = named.empty() ? "/etc/formation/vmm/default.conf" : named;
    const auto profile = !wanted.profile.empty() ? wanted.profile : variable("VMM_PROFILE");
    if (!named.empty() || ::access(file.c_str(), F_OK) == 0) {
        CHECK(vmm::daemon::read_file_into(config, file, profile));
    }
    std::vector<std::string> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        environment.emplace_back(*entry);
    }
    CHECK(vmm::daemon::read_environment_into(config, environment));
    for (const auto& [key, value] : wanted.flags) {
        std::string flag = "--" + key;
        std::ranges::replace(flag, '_', '-');
        CHECK(config.set(key, value, "flag " + flag));
    }
    return config;
}

int refuse(const vmm::Error& error, int exit_code) {
    std::fprintf(stderr, "vmm-service: %s\n", error.message().c_str());
    if (!error.hint().empty()) {
        std::fprintf(stderr, "  hint: %s\n", error.hint().c_str());
    }
    return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app{"vmm-service: virtual machines for developers who sign their requests"};
    Wanted wanted;
    define(app, wanted);
    CLI11_PARSE(app, argc, argv);
    if (wanted.print_default) {
        std::fputs(vmm::daemon::documented_file().c_str(), stdout);
        return 0;
    }
    const auto config = load(wanted);
    if (!config) {
        return refuse(config.error(), exit_usage);
    }
    if (wanted.print) {
        std::fputs(vmm::daemon::printed(*config).c_str(), stdout);
        return 0;
    }
    if (const auto good = vmm::daemon::check(*config); !good) {
        return refuse(good.error(), exit_usage);
    }
    if (wanted.check) {
        std::puts("the configuration is good");
        return 0;
    }
    const auto ran = vmm::daemon::run(*config);
    return ran ? 0 : refuse(ran.error(), exit_failed);
}
