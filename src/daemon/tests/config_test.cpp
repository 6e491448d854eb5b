#include "vmm/daemon/config.h"

#include "vmm/base/files.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

namespace vmm::daemon {
namespace {

class ConfigFile : public ::testing::Test {
protected:
    ConfigFile() {
        char name[] = "/tmp/vmm-config-XXXXXX";
        folder = mkdtemp(name);
    }

    ~ConfigFile() override { std::filesystem::remove_all(folder); }

    Result<Config> read(std::string_view text, const std::string& profile = "") {
        auto config = Config::defaults();
        CHECK(write_file(folder / "c.conf", text, 0600));
        CHECK(read_file_into(config, folder / "c.conf", profile));
        return config;
    }

    std::string refusal(std::string_view text) {
        const auto config = read(text);
        return config ? "accepted" : config.error().message().substr(folder.string().size() + 1);
    }

    std::filesystem::path folder;
};

TEST_F(ConfigFile, IsReadWithTheProfileOverTheTop) {
    constexpr std::string_view text =
        "api_port = 1\nmax_vms = 5\n[testing]\nmax_vms = 6\n[development]\nmax_vms = 7\n";
    EXPECT_EQ(read(text)->integer("max_vms"), 5);
    EXPECT_EQ(read(text, "testing")->integer("max_vms"), 6);
    EXPECT_EQ(read(text, "testing")->setting("max_vms").origin, (folder / "c.conf:4").string());
    EXPECT_FALSE(read(text, "staging"));
}

TEST_F(ConfigFile, TakesListsOfTexts) {
    EXPECT_EQ(
        read("admin_addresses = [\"a\", \"b\"]\n")->list("admin_addresses"),
        (std::vector<std::string>{"a", "b"})
    );
}

TEST_F(ConfigFile, NamesFileLineAndNearestKey) {
    EXPECT_EQ(
        refusal("api_port = 3\napi_prot = 3"),
        "c.conf:2: unknown key \"api_prot\", did you mean \"api_port\"?"
    );
    EXPECT_EQ(
        refusal("[testin]\nmax_vms = 1"), "c.conf:1: unknown section \"testin\", did you mean \"testing\"?"
    );
    EXPECT_EQ(
        refusal("api_port = 65536"), "c.conf:1: api_port: \"65536\" is not a whole number from 0 to 65535"
    );
    EXPECT_EQ(refusal("accel = \"hax\""), "c.conf:1: accel: \"hax\" is not one of auto|kvm|tcg");
    EXPECT_EQ(refusal("api_port = 1.5"), "c.conf:1: api_port: expected text, a whole number, true or false");
    EXPECT_EQ(refusal("[testing]\nnope = 1"), "c.conf:2: unknown key \"nope\"");
    EXPECT_TRUE(refusal("a = [").starts_with("c.conf:1:"));
}

TEST(Environment, OverridesAndIsChecked) {
    auto config = Config::defaults();
    ASSERT_TRUE(
        read_environment_into(config, {"VMM_API_PORT=1", "WAIT_FOR=a:1,b:2", "PATH=/", "VMM_CONFIG_PATH=/x"})
    );
    EXPECT_EQ(config.integer("api_port"), 1);
    EXPECT_EQ(config.setting("api_port").origin, "environment VMM_API_PORT");
    EXPECT_EQ(config.list("wait_for").size(), 2U);
    EXPECT_EQ(
        read_environment_into(config, {"VMM_API_PROT=1"}).error().message(),
        "environment: unknown variable \"VMM_API_PROT\", did you mean \"VMM_API_PORT\"?"
    );
}

TEST(Schema, HasValidDefaultsAndTheProductsNames) {
    auto config = Config::defaults();
    std::set<std::string> variables;
    for (const auto& key : keys()) {
        EXPECT_TRUE(config.set(key.name, std::string{key.fallback}, "test")) << key.name;
        EXPECT_FALSE(key.help.empty());
        variables.insert(key.environment());
    }
    EXPECT_EQ(variables.size(), keys().size());
    for (const auto* name :
         {"VMM_LOG_LEVEL",
          "VMM_API_PORT",
          "VMM_STATE_URL",
          "VMM_KERNEL_PATH",
          "VMM_VM_DIR",
          "VMM_IMAGES_DIR",
          "WAIT_FOR"}) {
        EXPECT_TRUE(variables.contains(name)) << name;
    }
    EXPECT_EQ(config.text("state_url"), "http://form-state:3004");
    EXPECT_EQ(config.integer("api_port"), 3003);
}

TEST(Schema, IsWhatTheDocumentedFileSays) {
    const auto file = read_file(VMM_DEFAULT_CONF);
    ASSERT_TRUE(file);
    EXPECT_EQ(*file, documented_file()) << "run: vmm-service --print-default-config > config/default.conf";
    auto config = Config::defaults();
    ASSERT_TRUE(read_file_into(config, VMM_DEFAULT_CONF, ""));
    for (const auto& key : keys()) {
        EXPECT_EQ(config.text(key.name), key.fallback);
    }
}

}  // namespace
}  // namespace vmm::daemon
