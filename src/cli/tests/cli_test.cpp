#include <gtest/gtest.h>

#include "app.h"
#include "output.h"

namespace vmm::cli {
namespace {

TEST(Vmctl, CompletesEveryCommandInBothShells) {
    Vmctl vmctl;
    for (const auto* shell : {"bash", "zsh"}) {
        const auto script = completion_script(vmctl.tree(), shell);
        for (const auto* sub : vmctl.tree().get_subcommands([](const CLI::App*) { return true; })) {
            EXPECT_NE(script.find("'" + sub->get_name() + "'"), std::string::npos) << sub->get_name();
        }
    }
}

TEST(Vmctl, DescribesEveryCommandInTheManual) {
    Vmctl vmctl;
    const auto page = manual_page(vmctl.tree());
    for (const auto* word : {".TH VMCTL", "vmctl create", "vmctl keys new", "Exit codes"}) {
        EXPECT_NE(page.find(word), std::string::npos) << word;
    }
}

TEST(Vmctl, HasAnExitCodeForEachKindOfFailure) {
    EXPECT_EQ(exit_code(Error{Code::not_found, ""}), 3);
    EXPECT_EQ(exit_code(Error{Code::forbidden, ""}), 4);
    EXPECT_EQ(exit_code(Error{Code::conflict, ""}), 5);
    EXPECT_EQ(exit_code(Error{Code::unavailable, ""}), 6);
    EXPECT_EQ(exit_code(Error{Code::timed_out, ""}), 7);
    EXPECT_EQ(exit_code(Error{Code::invalid, ""}), 1);
}

}  // namespace
}  // namespace vmm::cli
