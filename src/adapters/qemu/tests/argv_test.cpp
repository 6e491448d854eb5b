#include "argv.h"

#include "vmm/base/ids.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmm::qemu {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

ports::LaunchPlan plan() {
    ports::LaunchPlan out;
    out.id = new_id("vm");
    out.name = "web";
    out.vcpus = 2;
    out.memory_mib = 256;
    out.kernel = "/images/tiny/vmlinux";
    out.initrd = "/images/tiny/initrd";
    out.command_line = "console=ttyS0";
    out.disks.emplace_back();
    out.disks.back().id = "root";
    out.disks.back().file = "/disks/a,b \"c\".qcow2";
    out.boot_token = "secret";
    return out;
}

std::string joined(const std::vector<std::string>& argv) {
    std::string out;
    for (const auto& word : argv) {
        out.append(word).append(" ");
    }
    return out;
}

TEST(QemuArgv, ChoosesTheMachineByWhatIsBooted) {
    Settings settings;
    auto wanted = plan();
    EXPECT_THAT(
        qemu_argv(settings, wanted, "tcg", "c"), Contains("microvm,acpi=on,pcie=on,memory-backend=ram")
    );
    wanted.kernel.clear();
    EXPECT_THAT(qemu_argv(settings, wanted, "tcg", "c"), Contains("q35,memory-backend=ram"));
    settings.machine = "microvm";
    EXPECT_EQ(machine_type(settings, wanted), "microvm");
}

TEST(QemuArgv, GivesMemoryProcessorsAndTheSandbox) {
    const auto argv = qemu_argv({}, plan(), "tcg", "c");
    EXPECT_THAT(argv, Contains("memory-backend-ram,id=ram,size=256M"));
    EXPECT_THAT(argv, Contains("on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"));
    EXPECT_THAT(joined(argv), HasSubstr("-smp 2 "));
    EXPECT_THAT(joined(argv), HasSubstr("-accel tcg"));
    EXPECT_THAT(joined(qemu_argv({}, plan(), "kvm", "c")), HasSubstr("-accel kvm -smp 2"));
}

TEST(QemuArgv, PassesGpusThroughEachInASlotOfItsOwn) {
    auto wanted = plan();
    wanted.gpus = {{"H100", "0000:17:00.0"}, {"RTX5090", "0000:65:00.0"}};
    const auto argv = joined(qemu_argv({}, wanted, "kvm", "c"));
    EXPECT_THAT(argv, HasSubstr("-device vfio-pci,id=gpu16,bus=gpu-port16,host=0000:17:00.0"));
    EXPECT_THAT(argv, HasSubstr("-device vfio-pci,id=gpu17,bus=gpu-port17,host=0000:65:00.0"));
    EXPECT_THAT(argv, HasSubstr("pcie-root-port,id=gpu-port17,chassis=17,slot=17"));
    EXPECT_THAT(argv, HasSubstr("pci-hole64-size=320G"));
    EXPECT_THAT(argv, HasSubstr("host,host-phys-bits=on"));
    EXPECT_THAT(argv, HasSubstr("-machine q35,"));
    wanted.firmware = "uefi";
    wanted.kernel.clear();
    EXPECT_THAT(joined(qemu_argv({}, wanted, "tcg", "c")), HasSubstr("opt/ovmf/X-PciMmio64Mb,string=327680"));
    EXPECT_THAT(joined(qemu_argv({}, plan(), "kvm", "c")), Not(HasSubstr("hole64")));
}

TEST(QemuArgv, QuotesTheDisksPath) {
    EXPECT_THAT(
        joined(qemu_argv({}, plan(), "tcg", "c")), HasSubstr(R"("filename":"/disks/a,b \"c\".qcow2"}})")
    );
}

TEST(QemuArgv, LeavesRandomNumbersOutWhenTold) {
    Settings settings;
    EXPECT_THAT(joined(qemu_argv(settings, plan(), "tcg", "c")), HasSubstr("virtio-rng-pci"));
    settings.virtio_rng = false;
    EXPECT_THAT(joined(qemu_argv(settings, plan(), "tcg", "c")), Not(HasSubstr("virtio-rng-pci")));
}

TEST(QemuArgv, CarriesNoSecret) {
    Settings settings;
    settings.callback_url = "http://10.0.2.2:1/vm/boot_complete";
    const auto wanted = plan();
    EXPECT_THAT(joined(qemu_argv(settings, wanted, "tcg", "c")), Not(HasSubstr("secret")));
    EXPECT_EQ(
        boot_config(settings, wanted, 2596128),
        "[machine]\n  append = \"console=ttyS0 tsc_early_khz=2596128 vmm.id=" + wanted.id +
            " vmm.name=web vmm.callback=http://10.0.2.2:1/vm/boot_complete vmm.token=secret\"\n"
    );
}

TEST(QemuArgv, CanBeRecognisedAgain) {
    const auto wanted = plan();
    std::string line{"qemu-system-x86_64"};
    line += '\0';
    for (const auto& word : qemu_argv({}, wanted, "tcg", "c")) {
        line.append(word) += '\0';
    }
    EXPECT_EQ(id_in_argv(line), wanted.id);
    EXPECT_EQ(id_in_argv(""), "");
    EXPECT_EQ(id_in_argv(std::string_view{"x\0-name\0guest=other\0", 21}), "");
}

}  // namespace
}  // namespace vmm::qemu
