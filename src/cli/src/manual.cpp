#include "app.h"

namespace vmm::cli {
namespace {

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '-' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out;
}

std::string names_of(const CLI::Option& option) {
    if (option.get_positional()) {
        return option.get_name();
    }
    std::string out;
    for (const auto& name : option.get_snames()) {
        out.append(out.empty() ? "-" : ", -").append(name);
    }
    for (const auto& name : option.get_lnames()) {
        out.append(out.empty() ? "--" : ", --").append(name);
    }
    return out + (option.get_items_expected_max() > 0 ? " VALUE" : "");
}

void add_options(std::string& out, const CLI::App& app) {
    for (const auto* option : app.get_options()) {
        if (option->get_name() == "--help") {
            continue;
        }
        out.append(".TP\n.B ")
            .append(escaped(names_of(*option)))
            .append("\n")
            .append(escaped(option->get_description()))
            .append("\n");
    }
}

void add_command(std::string& out, const CLI::App& app, const std::string& path) {
    const auto subs = app.get_subcommands([](const CLI::App*) { return true; });
    if (subs.empty()) {
        out.append(".SS ")
            .append(escaped(path))
            .append("\n")
            .append(escaped(app.get_description()))
            .append(".\n");
        add_options(out, app);
    }
    for (const auto* sub : subs) {
        add_command(out, *sub, path + " " + sub->get_name());
    }
}

}  // namespace

std::string manual_page(const CLI::App& app) {
    std::string out = ".TH VMCTL 1 \"\" \"vmctl " VMM_VERSION
                      "\" \"User Commands\"\n.SH NAME\nvmctl \\- drive the machines of a vmm\\-service\n";
    out.append(".SH SYNOPSIS\n.B vmctl\n[options] command [arguments]\n.SH DESCRIPTION\n")
        .append(escaped(app.get_description()))
        .append(".\n");
    out.append(".SH OPTIONS\n");
    add_options(out, app);
    out.append(".SH COMMANDS\n");
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        add_command(out, *sub, "vmctl " + sub->get_name());
    }
    out.append(
        ".SH FILES\n.TP\n.I ~/.config/vmm/vmctl.toml\nurl, key and output: defaults for the options of those "
        "names.\n"
    );
    out.append(".TP\n.I ~/.config/vmm/keys\nKeys: NAME.json is encrypted, NAME.key is not.\n");
    out.append(".SH EXIT STATUS\n").append(escaped(app.get_footer())).append(".\n");
    return out;
}

}  // namespace vmm::cli
