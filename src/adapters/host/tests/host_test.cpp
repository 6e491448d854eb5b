#include "vmm/host/host.h"

#include "vmm/base/files.h"

#include <gtest/gtest.h>

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace vmm::host {
namespace {

namespace fs = std::filesystem;

TEST(Host, KnowsItsSizeAndItsBoot) {
    const auto host = create_host();
    const auto capacity = host->capacity();
    EXPECT_GE(capacity.cpus, 1U);
    EXPECT_GT(capacity.memory_mib, capacity.memory_available_mib);
    EXPECT_GT(capacity.memory_available_mib, 0U);
    EXPECT_EQ(host->boot_id().size(), 36U);
}

TEST(Host, FindsFoldersThatCannotBeWritten) {
    const auto host = create_host();
    EXPECT_TRUE(host->check_folder("/tmp"));
    EXPECT_FALSE(host->check_folder("/proc"));
    EXPECT_FALSE(host->check_folder("/nowhere"));
}

// What Linux shows of PCI devices below /sys, made of files and links.
class Gpus : public ::testing::Test {
protected:
    Gpus() {
        std::string name = "/tmp/vmm-sys-XXXXXX";
        sys = ::mkdtemp(name.data());
        fs::create_directories(sys / "bus/pci/devices");
    }

    ~Gpus() override { fs::remove_all(sys); }

    void device(
        const std::string& address,
        const char* kind,
        const char* number,
        const char* driver,
        const char* group
    ) const {
        const auto folder = sys / "bus/pci/devices" / address;
        fs::create_directories(folder);
        ASSERT_TRUE(write_file(folder / "class", std::string{kind} + "\n", 0600));
        ASSERT_TRUE(write_file(folder / "vendor", "0x10de\n", 0600));
        ASSERT_TRUE(write_file(folder / "device", std::string{number} + "\n", 0600));
        if (*driver != '\0') {
            fs::create_symlink(fs::path{"../../../../bus/pci/drivers"} / driver, folder / "driver");
        }
        if (*group != '\0') {
            const auto members = sys / "kernel/iommu_groups" / group / "devices";
            fs::create_directories(members);
            fs::create_directory_symlink(folder, members / address);
            fs::create_directory_symlink(sys / "kernel/iommu_groups" / group, folder / "iommu_group");
        }
    }

    fs::path sys;
};

TEST_F(Gpus, AreFoundWithWhatStandsInTheirWay) {
    EXPECT_TRUE(find_gpus(sys).empty());
    device("0000:65:00.0", "0x030000", "0x2b85", "vfio-pci", "7");
    device("0000:65:00.1", "0x040300", "0x22e8", "snd_hda_intel", "7");
    device("0000:17:00.0", "0x030200", "0x2330", "vfio-pci", "1");
    device("0000:16:00.0", "0x060400", "0x0001", "pcieport", "1");
    device("0000:18:00.0", "0x030200", "0x2335", "nvidia", "2");
    device("0000:19:00.0", "0x030200", "0x1db6", "", "3");
    device("0000:20:00.0", "0x030200", "0x2901", "vfio-pci", "");
    const auto found = find_gpus(sys);
    ASSERT_EQ(found.size(), 5U);
    EXPECT_EQ(found[0].address, "0000:17:00.0");
    EXPECT_EQ(found[0].model, "H100");
    EXPECT_EQ(found[0].iommu_group, 1);
    EXPECT_EQ(found[0].obstacle, "") << "a bridge is in nobody's way";
    EXPECT_EQ(found[1].model, "H200");
    EXPECT_EQ(found[1].obstacle, "has the driver nvidia, not vfio-pci");
    EXPECT_EQ(found[2].model, "10de:1db6");
    EXPECT_EQ(found[2].obstacle, "has no driver, not vfio-pci");
    EXPECT_TRUE(found[3].obstacle.starts_with("is in no IOMMU group")) << found[3].obstacle;
    EXPECT_EQ(found[4].model, "RTX5090");
    EXPECT_EQ(
        found[4].obstacle,
        "shares its IOMMU group 7 with 0000:65:00.1, which has the driver snd_hda_intel, not vfio-pci"
    );
}

}  // namespace
}  // namespace vmm::host
