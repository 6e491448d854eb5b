#include "vmm/host/host.h"

#include <gtest/gtest.h>

namespace vmm::host {
namespace {

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

}  // namespace
}  // namespace vmm::host
