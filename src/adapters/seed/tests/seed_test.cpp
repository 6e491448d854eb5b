#include "vmm/base/files.h"
#include "vmm/json/value.h"
#include "vmm/seed/seeds.h"

#include <gmock/gmock.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "parts.h"

namespace vmm::seed {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string run_shell(const std::string& script) {
    const auto file =
        std::filesystem::path{testing::TempDir()} / ("seed_test." + std::to_string(::getpid()) + ".sh");
    EXPECT_TRUE(write_file(file, script, 0600));
    auto* pipe = ::popen(("sh " + file.string()).c_str(), "r");
    std::string out;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
        out += static_cast<char>(c);
    }
    ::pclose(pipe);
    std::filesystem::remove(file);
    return out;
}

TEST(ShellWord, ArrivesAsItWas) {
    for (const std::string word :
         {"plain", "", "a b", "it's", "$HOME `id` $(id) \\ \"", "';rm -rf /nosuch;'", "-n", "*"}) {
        EXPECT_EQ(run_shell("printf '<%s>' " + shell_word(word)), "<" + word + ">");
    }
}

TEST(BuildScript, QuotesEveryWordOfTheUsers) {
    domain::Formfile formfile;
    formfile.workdir = "/a b";
    domain::BuildStep copy;
    copy.kind = domain::BuildStep::Kind::copy;
    copy.words = {"x'; touch /tmp/owned; '", "/to"};
    formfile.steps.push_back(copy);
    formfile.entrypoint = {"/bin/x", "it's", "$HOME", "100%"};
    const auto script = build_script(formfile, true);
    EXPECT_THAT(script, HasSubstr(shell_word(copy.words[0])));
    EXPECT_THAT(script, HasSubstr("cd -- '/a b'"));
    EXPECT_THAT(script, HasSubstr("100%%"));
    EXPECT_EQ(run_shell("printf '%s' " + shell_word(script) + " | sh -n 2>&1"), "") << script;
}

TEST(ReportScript, IsOneThatAShellReads) {
    EXPECT_EQ(run_shell("printf '%s' " + shell_word(report_script()) + " | sh -n 2>&1"), "");
}

TEST(UserData, IsOneDocumentOfTheServicesAndTheOwners) {
    ports::Seed seed;
    seed.hostname = "web";
    seed.user_data = "#cloud-config\nruncmd: [id]\n";
    domain::FormfileUser user;
    user.username = "dev";
    user.passwd = "$6$x";
    user.groups = {"adm"};
    seed.formfile.users.push_back(user);
    const auto text = user_data(seed);
    EXPECT_THAT(text, HasSubstr(R"("hashed_passwd":"$6$x")"));
    EXPECT_THAT(text, HasSubstr("runcmd: [id]"));
    EXPECT_THAT(text, HasSubstr("filename=\"zz-vmm-service\""));
}

TEST(MetaData, IsJson) {
    ports::Seed seed;
    seed.instance_id = "vm-1";
    seed.hostname = "a\"b";
    EXPECT_TRUE(json::parse(meta_data(seed)));
    EXPECT_TRUE(json::parse(network_config(seed)));
}

TEST(CheckUserData, NamesTheLine) {
    const auto wrong = check_user_data("#cloud-config\na: [1\nb: 2\n");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().field(), "user_data");
    EXPECT_THAT(wrong.error().message(), HasSubstr("line "));
    EXPECT_TRUE(check_user_data("#cloud-config\na: [1]\n"));
    EXPECT_TRUE(check_user_data("#!/bin/sh\n{"));
    EXPECT_FALSE(check_user_data("a: b"));
    EXPECT_FALSE(check_user_data("#cloud-config\n" + std::string(70000, 'x')));
}

TEST(Passwords, AreHashedWhereverAFormfileHasThem) {
    const auto seeds = create_seeds();
    const auto text = seeds->without_passwords(
        "NAME secret\nUSER username:dev passwd:\"se cret\" sudo:true\nRUN echo passwd:secret\n"
    );
    ASSERT_TRUE(text);
    EXPECT_THAT(*text, Not(HasSubstr("se cret")));
    EXPECT_THAT(*text, HasSubstr("passwd:\"$6$rounds=4096$"));
    EXPECT_THAT(*text, HasSubstr("RUN echo passwd:secret"));
    EXPECT_THAT(*seeds->without_passwords("\n# a\n\n  RUN x\n"), "\n# a\n\n  RUN x\n");
    EXPECT_EQ(seeds->without_passwords(*text), *text) << "what is hashed stays";
    const auto json = seeds->without_passwords(R"({"users":[{"username":"dev","passwd":"hidden"}]})");
    ASSERT_TRUE(json);
    EXPECT_THAT(*json, Not(HasSubstr("hidden")));
}

TEST(JsonFormfile, IsReadAsThePlatformWritesIt) {
    const auto read = read_json_formfile(
        R"({"name":"x","build_instructions":[{"Run":"ls"},{"Copy":["a","/b"]},)"
        R"({"Install":{"packages":["curl"]}},{"Env":{"key":"K","value":"v","scope":{"User":"dev"}}},)"
        R"({"Entrypoint":{"command":"run","args":["-x"]}},{"Expose":[80]}],)"
        R"("system_config":[{"Cpu":2},{"Memory":1024},{"Disk":7},{"Cpu":9}],)"
        R"("users":[{"username":"dev","groups":["adm"],"sudo":true}],"workdir":"/w"})"
    );
    ASSERT_TRUE(read) << read.error().message();
    EXPECT_EQ(read->vcpus, 2U) << "the first one counts";
    EXPECT_EQ(read->steps.size(), 4U);
    EXPECT_EQ(read->entrypoint, (std::vector<std::string>{"run", "-x"}));
    EXPECT_EQ(read->exposes.at(0).port, 80);
    EXPECT_FALSE(read_json_formfile(R"({"system_config":[{"Cpu":"two"}]})"));
}

TEST(MeshConfig, IsMadeOfAnInvitationInItsForm) {
    const std::string key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
    const auto invitation = [&](std::string address, std::string own, std::string endpoint) {
        return R"({"interface":{"network-name":"formnet","address":")" + address + R"(","private-key":")" +
               own + R"("},"server":{"public-key":")" + key + R"(","external-endpoint":")" + endpoint +
               R"("}})";
    };
    const auto config = mesh_config(invitation("10.42.0.7/16", key, "203.0.113.2:51820"));
    EXPECT_THAT(config, HasSubstr("Address = 10.42.0.7/16\nPrivateKey = " + key + "\n"));
    EXPECT_THAT(config, HasSubstr("Endpoint = 203.0.113.2:51820\nAllowedIPs = 10.42.0.7/16\n"));
    EXPECT_NE(mesh_config(invitation("fd00::7/64", key, "[2001:db8::2]:51820")), "");
    for (const auto& [address, own, endpoint] : std::vector<std::array<std::string, 3>>{
             {"10.42.0.7", key, "h:1"},
             {"10.42.0.7/33", key, "h:1"},
             {"10.42.0.7/16\\nPostUp = reboot", key, "h:1"},
             {"10.42.0.7/16", "short", "h:1"},
             {"10.42.0.7/16", key, "h"},
             {"10.42.0.7/16", key, "h:1\\nPostUp = reboot"},
         }) {
        EXPECT_EQ(mesh_config(invitation(address, own, endpoint)), "") << address << own << endpoint;
    }
    EXPECT_EQ(mesh_config(""), "");
    EXPECT_EQ(mesh_config("\"an invitation of another kind\""), "");
}

TEST(Medium, IsWrittenForTheServiceAlone) {
    const auto file =
        std::filesystem::path{testing::TempDir()} / ("seed_test." + std::to_string(::getpid()) + ".iso");
    ports::Seed seed;
    seed.hostname = "web";
    seed.formfile.entrypoint = {"true"};
    ASSERT_TRUE(create_seeds()->write(seed, file));
    EXPECT_EQ(
        std::filesystem::status(file).permissions(),
        std::filesystem::perms::owner_read | std::filesystem::perms::owner_write
    );
    const auto content = vmm::read_file(file, 4 << 20);
    ASSERT_TRUE(content);
    EXPECT_EQ(content->substr(32769, 5), "CD001");
    EXPECT_THAT(*content, HasSubstr("cidata"));
    std::filesystem::remove(file);
}

}  // namespace
}  // namespace vmm::seed
