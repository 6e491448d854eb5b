#include "app.h"

#include "output.h"
#include "terminal.h"

namespace vmm::cli {

Vmctl::Vmctl()
    : app_{std::make_unique<CLI::App>(
          "vmctl drives the machines of a vmm-service with your Ethereum key",
          "vmctl"
      )} {
    app_->set_version_flag("--version", std::string{VMM_VERSION});
    app_->require_subcommand(1);
    app_->fallthrough();
    app_->add_option("--url", settings_.url, "Where the service is (VMM_URL; http://127.0.0.1:3003)");
    app_->add_option("--key", settings_.key, "Name or file of the key to sign with (VMM_KEY; default)");
    app_->add_option("--ca", settings_.ca_file, "File of authorities to trust for https (VMM_CA_FILE)");
    app_->add_option(
        "--capability",
        settings_.capability,
        "A capability, or a file that holds one, to act by (VMM_CAPABILITY)"
    );
    app_->add_option("-o,--output", settings_.output, "table or json")
        ->check(CLI::IsMember({"table", "json"}));
    app_->add_option(
        "--password-file", settings_.password_file, "File with the key's password (VMM_KEY_PASSWORD)"
    );
    app_->add_option("--timeout", settings_.timeout_s, "Seconds to wait for an answer")
        ->check(CLI::Range(1, 86400))
        ->capture_default_str();
    add_machine_commands();
    add_power_commands();
    add_disk_commands();
    add_network_commands();
    add_port_commands();
    add_guest_commands();
    add_file_commands();
    add_image_commands();
    add_key_commands();
    add_account_commands();
    add_sharing_commands();
    add_transfer_commands();
    add_team_commands();
    add_access_commands();
    add_audit_commands();
    add_service_commands();
    app_->footer(
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 not allowed, 5 conflict, 6 service "
        "unreachable or "
        "unavailable, 7 timed out"
    );
}

CLI::App* Vmctl::command(const std::string& name, const std::string& about, CLI::App* parent) {
    auto* added = (parent == nullptr ? app_.get() : parent)->add_subcommand(name, about);
    added->fallthrough();
    return added;
}

void Vmctl::action(CLI::App* command, Action run) {
    command->callback([this, run = std::move(run)] { action_ = run; });
}

int Vmctl::run(int argc, const char* const* argv) {
    try {
        app_->parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        const int code = app_->exit(e);
        return code == 0 ? 0 : 2;
    }
    Result<void> done = complete(settings_);
    if (done && action_) {
        done = action_();
    }
    if (!done) {
        print_error(done.error());
        return exit_code(done.error());
    }
    return 0;
}

}  // namespace vmm::cli
