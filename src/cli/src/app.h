#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>

#include "settings.h"

namespace vmm::cli {

// The command that was given, to be run once the flags are read; nothing to do leaves it empty.
using Action = std::function<Result<void>()>;

// vmctl's commands and flags. The help, the completions and the manual page are all made from this one tree.
class Vmctl {
public:
    Vmctl();

    [[nodiscard]] CLI::App& tree() { return *app_; }

    // The whole program: reads the arguments, runs the command, reports; the exit code.
    int run(int argc, const char* const* argv);

private:
    void add_machine_commands();
    void add_power_commands();
    void add_key_commands();
    void add_account_commands();
    void add_sharing_commands();
    void add_transfer_commands();
    void add_team_commands();
    void add_access_commands();
    void add_audit_commands();
    void add_image_commands();
    void add_image_file_commands(CLI::App* image);
    void add_disk_commands();
    void add_network_commands();
    void add_port_commands();
    void add_guest_commands();
    void add_file_commands();
    void add_service_commands();
    CLI::App* command(const std::string& name, const std::string& about, CLI::App* parent = nullptr);
    void action(CLI::App* command, Action run);

    std::unique_ptr<CLI::App> app_;
    Settings settings_;
    Action action_;
};

std::string completion_script(const CLI::App& app, const std::string& shell);
std::string manual_page(const CLI::App& app);

}  // namespace vmm::cli
