#include <set>

#include "app.h"

namespace vmm::cli {
namespace {

// Every word that can follow these commands: subcommands and flags, also the general ones.
std::string words_after(const CLI::App& app, const CLI::App& root) {
    std::set<std::string> words;
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        words.insert(sub->get_name());
    }
    for (const auto* from : {&app, &root}) {
        for (const auto* option : from->get_options()) {
            for (const auto& name : option->get_lnames()) {
                words.insert("--" + name);
            }
        }
    }
    std::string out;
    for (const auto& word : words) {
        out.append(out.empty() ? "" : " ").append(word);
    }
    return out;
}

bool takes_machines(const CLI::App& app) {
    const auto options = app.get_options();
    return std::ranges::any_of(options, [](const CLI::Option* option) { return option->get_name() == "vm"; });
}

void add_case(std::string& out, const CLI::App& app, const CLI::App& root, const std::string& path) {
    out.append("        '").append(path).append("') words='").append(words_after(app, root)).append("'");
    out.append(takes_machines(app) ? "; machines=1" : "").append(" ;;\n");
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        add_case(out, *sub, root, path.empty() ? sub->get_name() : path + " " + sub->get_name());
    }
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
    std::string cases;
    add_case(cases, app, app, "");
    std::string out = shell == "zsh" ? "autoload -U +X bashcompinit && bashcompinit\n" : "";
    out.append(
        "# vmctl completion; load with: source <(vmctl completion " + shell +
        ")\n"
        "_vmctl() {\n"
        "    local current=\"${COMP_WORDS[COMP_CWORD]}\" path='' words='' machines='' i\n"
        "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
        "        case \"${COMP_WORDS[i]}\" in -*) continue ;; esac\n"
        "        case \"${path:+$path }${COMP_WORDS[i]}\" in\n"
    );
    std::string known;
    for (const auto* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
        known.append(known.empty() ? "" : " | ").append("'" + sub->get_name() + "'");
        for (const auto* below : sub->get_subcommands([](const CLI::App*) { return true; })) {
            known.append(" | '" + sub->get_name() + " " + below->get_name() + "'");
        }
    }
    out.append("            ")
        .append(known)
        .append(") path=\"${path:+$path }${COMP_WORDS[i]}\" ;;\n        esac\n    done\n");
    out.append("    case \"$path\" in\n").append(cases).append("    esac\n");
    out.append(
        "    [ -n \"$machines\" ] && [[ \"$current\" != -* ]] && words=\"$words $(vmctl ls --quiet "
        "2>/dev/null)\"\n"
        "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
        "}\n"
        "complete -F _vmctl vmctl\n"
    );
    return out;
}

}  // namespace vmm::cli
